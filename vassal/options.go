package vassal

import "emperor/internal/config"

// Options are the options of a vassal's file that this package honours: ours,
// and those of uWSGI that tell us how to run it.
var Options []config.Option

// ForeignOptions are the remaining options of uWSGI 2.0.21 and its plugins, so
// that a typing error can be told from an option that is uWSGI's business.
// Names declared by Options are not among them.
func ForeignOptions() []config.Option { return nil }
