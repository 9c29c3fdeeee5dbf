package vassal

type launch struct{}

// MaxLine is how many bytes of an output line are kept; the rest of it follows as further lines.
const MaxLine = 8192
