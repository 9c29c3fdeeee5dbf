package vassal

import (
	"context"

	"emperor/internal/config"
)

// Order is what an operator can ask for.
type Order string

const (
	OrderStart   Order = "start"   // start a stopped or failed one now
	OrderStop    Order = "stop"    // drain, end, stay down until told otherwise
	OrderReload  Order = "reload"  // a new generation from the same file
	OrderRestart Order = "restart" // end the old one first, then start; requests wait meanwhile
)

// Vassal is one running site.
type Vassal struct{}

// New makes a vassal; it does nothing before Run and Want.
func New(name string, deps Deps) *Vassal { return &Vassal{} }

// Run owns the vassal until it was removed (nil) or ctx ended (nil), and
// everything it started has ended. Call it once. When ctx ends nothing is
// started any more and everything is stopped within the stop time.
func (v *Vassal) Run(ctx context.Context) error { return nil }

// Want gives the first or a changed spec: start, or hand over to a new
// generation. It returns at once; the last one wins. After Remove it revives
// the vassal unless Run has returned (see Done).
func (v *Vassal) Want(s *Spec) {}

// Refuse says that the file has mistakes: what runs stays, the error is shown.
func (v *Vassal) Refuse(p config.Problems) {}

// Remove says that the file is gone: drain by its mercy, stop, Run returns.
func (v *Vassal) Remove() {}

// Done is closed when Run has returned: a Want after that is lost.
func (v *Vassal) Done() <-chan struct{} { return nil }

// Order carries out an operator's order and returns when the outcome is known:
// nil when it is done, an error that says why it could not be, or ctx's error
// when that ends first (the order is carried out all the same).
func (v *Vassal) Order(ctx context.Context, o Order) error { return nil }

// Status is the last published snapshot.
func (v *Vassal) Status() Status { return Status{} }

// Follow gives the last lines and a channel of the coming ones. A reader that
// is slower than the vassal loses lines, never slows it. Call stop when done;
// the channel is closed then, or when Run returns.
func (v *Vassal) Follow() (last []Line, coming <-chan Line, stop func()) { return nil, nil, func() {} }
