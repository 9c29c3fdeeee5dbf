package shim

import (
	"errors"
	"syscall"
)

// Order is what the shim must do. Texts are what the kernel takes for one: any bytes
// but NUL.
type Order struct {
	Label string // the program, in errors
	// Path is what to execute, looked up on the PATH of Env when it has no slash.
	Path, Dir, Chroot string
	Args, Env         []string
	Files             []int // descriptors that the program gets, ascending
	Listen            bool  // add LISTEN_PID to Env
	Credential        *Credential
	Umask             int // -1: as it is
	MaxOpenFiles      uint64
	Restrictions      Restrictions
	Confined, MayRead bool
	Parent            int // pid that must still be our parent; 0: no parent-death signal
	DeathSignal       syscall.Signal
}

// Credential is who the child runs as.
type Credential struct {
	UID, GID uint32
	// Groups are the supplementary groups, all of them; nil means none.
	Groups []uint32
}

// Encode gives the order as bytes that decode reads.
func (o *Order) Encode() []byte {
	c := codec{writing: true, written: make([]byte, 0, 4096)}
	c.order(o)
	return c.written
}

// errTruncated is one error for all that only a bug, or a stranger, can bring about.
var errTruncated = errors.New("the description of the child is damaged")

// decode is the reverse of Encode. What it gives are parts of the text: a shim lives so
// short that each piece of memory asked for shows.
func decode(text string) (*Order, error) {
	c, o := codec{left: text}, new(Order)
	c.order(o)
	if c.failed || len(c.left) > 0 {
		return nil, errTruncated
	}
	return o, nil
}

// codec writes or reads an order. Each method does both, so that what is said once, in
// order, holds for both sides. A number takes eight bytes, the lowest first; a text has
// its length before it, a list the number of its elements.
type codec struct {
	writing bool
	written []byte
	left    string // to be read
	failed  bool   // there was less to read than was announced
}

func (c *codec) order(o *Order) {
	for _, s := range []*string{&o.Label, &o.Path, &o.Dir, &o.Chroot} {
		c.string(s)
	}
	list(c, &o.Args, c.string)
	list(c, &o.Env, c.string)
	list(c, &o.Files, func(fd *int) { number(c, fd) })
	c.flag(&o.Listen)
	c.credential(&o.Credential)
	number(c, &o.Umask)
	number(c, &o.MaxOpenFiles)
	c.restrictions(&o.Restrictions)
	c.flag(&o.Confined)
	c.flag(&o.MayRead)
	number(c, &o.Parent)
	number(c, &o.DeathSignal)
}

func (c *codec) credential(credential **Credential) {
	there := *credential != nil
	if c.flag(&there); !there {
		return
	}
	if !c.writing {
		*credential = new(Credential)
	}
	number(c, &(*credential).UID)
	number(c, &(*credential).GID)
	list(c, &(*credential).Groups, func(group *uint32) { number(c, group) })
}

func (c *codec) restrictions(r *Restrictions) {
	c.flag(&r.NoNewPrivileges)
	list(c, &r.Limits, func(l *Limit) {
		c.string(&l.Name)
		number(c, &l.Resource)
		number(c, &l.Soft)
		number(c, &l.Hard)
		c.flag(&l.LowerOnly)
	})
	c.flag(&r.Bounded)
	number(c, &r.Bounding)
	number(c, &r.Granted)
	c.flag(&r.NoAmbient)
	c.string(&r.Group)
}

// number writes or reads one.
func number[T ~int | ~uint32 | ~uint64](c *codec, n *T) {
	const size = 8
	if c.writing {
		for shift := 0; shift < 8*size; shift += 8 {
			c.written = append(c.written, byte(uint64(*n)>>shift))
		}
		return
	}
	if len(c.left) < size {
		c.failed, c.left = true, ""
		return
	}
	var sum uint64
	for i := range size {
		sum |= uint64(c.left[i]) << (8 * i)
	}
	*n, c.left = T(sum), c.left[size:]
}

func (c *codec) flag(b *bool) {
	n := 0
	if *b {
		n = 1
	}
	number(c, &n)
	*b = n == 1
}

// length writes or reads one that announces at least as many bytes.
func (c *codec) length(n int) int {
	number(c, &n)
	if !c.writing && (n < 0 || n > len(c.left)) {
		c.failed, c.left = true, ""
		return 0
	}
	return n
}

func (c *codec) string(s *string) {
	n := c.length(len(*s))
	if c.writing {
		c.written = append(c.written, *s...)
		return
	}
	*s, c.left = c.left[:n], c.left[n:]
}

// list writes or reads one, each element with the function.
func list[T any](c *codec, elements *[]T, element func(*T)) {
	n := c.length(len(*elements))
	if !c.writing && n > 0 {
		*elements = make([]T, n)
	}
	for i := range n {
		if c.failed {
			return
		}
		element(&(*elements)[i])
	}
}
