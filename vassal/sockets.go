package vassal

// Sockets are the listening sockets held for vassals. One Sockets is shared by
// all vassals of an emperor; it is safe for concurrent use.
type Sockets struct{}

// NewSockets makes an empty one.
func NewSockets() *Sockets { return &Sockets{} }
