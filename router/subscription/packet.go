package subscription

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"emperor/router/uwsgi"
)

// modifier1 marks a packet of the uwsgi protocol as an announcement.
const modifier1 = 224

// MaxPacket is the size of the largest datagram that is an announcement; uWSGI
// reads no more either.
const MaxPacket = 4096

// maxText bounds keys and addresses, as in uWSGI. (Its own server writes beyond
// the end of its memory for a longer key.)
const maxText = 255

// Packet is one announcement, or withdrawal, of a node.
type Packet struct {
	Withdraw bool
	Key      string // canonical: lower case, without the final dot
	Node
	Algorithm string // that the sender wants for the key; "" is the front's
	Unix      int64  // the sender's clock in seconds; 0: not told
	Notify    string // a unix datagram socket that wants to hear that the node is known

	signed    []byte // what the signature is over
	signature []byte
}

// Node is what an announcement says of a node.
type Node struct {
	Address   string
	Modifier1 byte
	Modifier2 byte
	Cores     int
	Load      int
	Weight    int // at least 1
	Backup    int // above 0: used while no node of a lower level works
	HTTP      bool
	Vassal    string
	From      Credentials // not of the packet: the receiver's knowledge
	Pair      Pair
}

// Pair is the files of a certificate that an announcement names for its key (sni_crt,
// sni_key and sni_ca).
type Pair struct {
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	ClientCA    string `json:"client_ca,omitempty"`
}

// IsZero tells whether there is none.
func (p Pair) IsZero() bool { return p.Certificate == "" || p.Key == "" }

// Parse reads a datagram. The Packet refers to it.
func Parse(datagram []byte) (Packet, error) {
	var p Packet
	if len(datagram) < uwsgi.HeaderSize {
		return p, errors.New("shorter than a uwsgi header")
	}
	header := uwsgi.ParseHeader(datagram)
	body := datagram[uwsgi.HeaderSize:]
	switch {
	case header.Modifier1 != modifier1:
		return p, fmt.Errorf("modifier1 %d, want %d", header.Modifier1, modifier1)
	case len(datagram) > MaxPacket:
		return p, fmt.Errorf("%d bytes, the limit is %d", len(datagram), MaxPacket)
	case header.Size != len(body):
		return p, fmt.Errorf("the header tells %d bytes, %d follow", header.Size, len(body))
	}
	p.Withdraw = header.Modifier2 != 0
	seen := map[string]bool{}
	r := uwsgi.NewReader(body)
	for rest := body; ; {
		name, value, ok := r.Next()
		if !ok {
			break
		}
		if seen[string(name)] {
			return p, fmt.Errorf("%q is there twice", name)
		}
		seen[string(name)] = true
		if p.signature != nil {
			return p, errors.New("something follows the signature")
		}
		if string(name) == "sign" {
			p.signature, p.signed = value, body[:len(body)-len(rest)]
		} else if err := p.set(string(name), value); err != nil {
			return p, err
		}
		rest = rest[4+len(name)+len(value):]
	}
	if err := r.Err(); err != nil {
		return p, err
	}
	if p.Key == "" || p.Address == "" {
		return p, errors.New("no key, or no address")
	}
	p.Weight = max(p.Weight, 1)
	return p, nil
}

// set takes one item; what is not known is left alone, as later versions of uWSGI
// send more.
func (p *Packet) set(name string, value []byte) (err error) {
	switch name {
	case "key":
		if p.Key, err = text(name, value); err == nil {
			p.Key = Canonical(p.Key)
		}
	case "address":
		p.Address, err = text(name, value)
	case "modifier1":
		p.Modifier1, err = small(name, value)
	case "modifier2":
		p.Modifier2, err = small(name, value)
	case "cores":
		p.Cores, err = number(name, value, maxNumber)
	case "load":
		p.Load, err = number(name, value, maxNumber)
	case "weight":
		p.Weight, err = number(name, value, maxNumber)
	case "backup":
		p.Backup, err = number(name, value, maxNumber)
	case "proto":
		p.HTTP = len(value) > 0 && value[0] == 'h'
	case "algo":
		p.Algorithm, err = text(name, value)
	case "vassal":
		p.Vassal, err = text(name, value)
	case "notify":
		p.Notify, err = text(name, value)
	case "sni_crt":
		p.Pair.Certificate, err = text(name, value)
	case "sni_key":
		p.Pair.Key, err = text(name, value)
	case "sni_ca":
		p.Pair.ClientCA, err = text(name, value)
	case "unix":
		var n int
		n, err = number(name, value, 1<<52)
		p.Unix = int64(n)
	}
	return err
}

// Canonical is a key as hosts of requests are written.
func Canonical(key string) string {
	key = strings.ToLower(key)
	if name, port, ok := strings.Cut(key, ":"); ok {
		return strings.TrimSuffix(name, ".") + ":" + port
	}
	return strings.TrimSuffix(key, ".")
}

// text refuses what could not be a name or an address, and what would break a log
// line.
func text(name string, value []byte) (string, error) {
	if len(value) > maxText {
		return "", fmt.Errorf("%s of %d bytes, the limit is %d", name, len(value), maxText)
	}
	for _, c := range value {
		if c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("%s %q: want printable ASCII without spaces", name, value)
		}
	}
	return string(value), nil
}

const maxNumber = 1 << 16 // sums of weights stay far from any overflow

// number: larger ones than limit are the limit.
func number(name string, value []byte, limit int) (int, error) {
	n, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s %.40q: want a number", name, value)
	}
	return int(min(n, uint64(limit))), nil
}

func small(name string, value []byte) (byte, error) {
	n, err := number(name, value, maxNumber)
	if err == nil && n > 255 {
		err = fmt.Errorf("%s %d: want at most 255", name, n)
	}
	return byte(n), err
}

// Append appends the datagram for p, in uWSGI's order, unsigned.
func (p *Packet) Append(dst []byte) []byte {
	command := byte(0)
	if p.Withdraw {
		command = 1
	}
	start := len(dst)
	dst = append(dst, modifier1, 0, 0, command)
	add := func(name, value string) {
		dst = append(dst, byte(len(name)), byte(len(name)>>8))
		dst = append(dst, name...)
		dst = append(dst, byte(len(value)), byte(len(value)>>8))
		dst = append(dst, value...)
	}
	add("key", p.Key)
	add("address", p.Address)
	add("modifier1", strconv.Itoa(int(p.Modifier1)))
	add("modifier2", strconv.Itoa(int(p.Modifier2)))
	add("cores", strconv.Itoa(p.Cores))
	add("load", strconv.Itoa(p.Load))
	add("weight", strconv.Itoa(p.Weight))
	for _, file := range [...]struct{ name, path string }{{"sni_key", p.Pair.Key}, {"sni_crt", p.Pair.Certificate}, {"sni_ca", p.Pair.ClientCA}} {
		if file.path != "" {
			add(file.name, file.path)
		}
	}
	if p.Backup > 0 {
		add("backup", strconv.Itoa(p.Backup))
	}
	if p.Vassal != "" {
		add("vassal", p.Vassal)
	}
	if p.HTTP {
		add("proto", "http")
	}
	if p.Algorithm != "" {
		add("algo", p.Algorithm)
	}
	if p.Notify != "" {
		add("notify", p.Notify)
	}
	if p.Unix != 0 {
		add("unix", strconv.FormatInt(p.Unix, 10))
	}
	size := len(dst) - start - uwsgi.HeaderSize
	dst[start+1], dst[start+2] = byte(size), byte(size>>8)
	return dst
}
