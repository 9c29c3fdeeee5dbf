package subscription

import (
	"cmp"
	"slices"
	"time"
)

// Record is a node, or that it is gone, as one table tells it another: of a router
// that comes after, or of one that still answers those who are connected to it.
type Record struct {
	Key       string `json:"key"`
	Address   string `json:"address"`
	Modifier1 byte   `json:"modifier1,omitempty"`
	Modifier2 byte   `json:"modifier2,omitempty"`
	Cores     int    `json:"cores,omitempty"`
	Load      int    `json:"load,omitempty"`
	Weight    int    `json:"weight,omitempty"`
	Backup    int    `json:"backup,omitempty"`
	HTTP      bool   `json:"http,omitempty"`
	Vassal    string `json:"vassal,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Sender    string `json:"sender,omitempty"`
	Unix      int64  `json:"unix,omitempty"`
	Since     int64  `json:"since"` // of this machine's clock, in milliseconds
	Seen      int64  `json:"seen"`  // in nanoseconds: of two records the later one counts
	Gone      bool   `json:"gone,omitempty"`
	Signed    bool   `json:"signed,omitempty"`
	Owned     bool   `json:"owned,omitempty"`

	From Credentials `json:"from,omitzero"`
	Pair Pair        `json:"pair,omitzero"`
}

// Version changes when Records has something new to tell.
func (t *Table[P]) Version() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.version
}

// Records returns everything the table knows, and the Version of it.
func (t *Table[P]) Records() ([]Record, uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]Record, 0, t.nodes)
	for key, s := range t.slots {
		for _, e := range s.entries {
			all = append(all, Record{
				Key: key, Address: e.Address, Modifier1: e.Modifier1, Modifier2: e.Modifier2,
				Cores: e.Cores, Load: e.Load, Weight: e.Weight, Backup: e.Backup, HTTP: e.HTTP, Vassal: e.Vassal,
				Algorithm: s.algorithm, Sender: e.sender.name, Unix: e.unix,
				Since: e.since.UnixMilli(), Seen: e.seen.UnixNano(), Gone: e.gone, Signed: e.signed, Owned: e.owned, From: e.From, Pair: e.Pair,
			})
		}
	}
	// The nodes of a key stay in the order of turns, and of iphash.
	slices.SortStableFunc(all, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	return all, t.version
}

// Merge takes over what another table knows and this one does not, or knows from
// an earlier time.
func (t *Table[P]) Merge(records []Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	changed := map[*slot[P]]bool{}
	for i := range records {
		r := &records[i]
		s := t.slots[r.Key]
		e := s.find(r.Address)
		seen := time.Unix(0, r.Seen)
		if t.options.Signatures != nil && !r.Signed || t.options.Owners != nil && (!r.Owned || t.options.Owners.check(r.Key, r.From) != nil) {
			continue
		}
		if e != nil && !seen.After(e.seen.Round(0)) {
			continue
		}
		if e == nil {
			var err error
			if s, e, err = t.insert(r.Key, r.Sender, r.Algorithm); err != nil {
				continue // it has as many as it may
			}
		} else if e.gone {
			s.revive(e)
		}
		e.Node = Node{
			Address: r.Address, Modifier1: r.Modifier1, Modifier2: r.Modifier2, Cores: r.Cores, Load: r.Load,
			Weight: max(r.Weight, 1), Backup: r.Backup, HTTP: r.HTTP, Vassal: r.Vassal, From: r.From, Pair: r.Pair,
		}
		e.since, e.seen, e.unix, e.signed = time.UnixMilli(r.Since), seen, max(e.unix, r.Unix), r.Signed
		e.owned = r.Owned
		e.expires = now.Add(t.options.Tolerance)
		if r.Gone {
			t.end(s, e, seen)
		}
		changed[s] = true
	}
	for s := range changed {
		t.version++
		if t.slots[s.key] == s {
			t.publish(s, now)
		}
	}
}

// SlotStatus is what statistics tell of one key.
type SlotStatus struct {
	Key       string
	Algorithm string
	Nodes     []NodeStatus
}

// NodeStatus is what they tell of one node.
type NodeStatus struct {
	Node
	Since, Seen time.Time
}

// Status returns the keys that have, or had recently, nodes.
func (t *Table[P]) Status() []SlotStatus {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []SlotStatus
	for key, s := range t.slots {
		if s.view == nil {
			continue
		}
		one := SlotStatus{Key: key, Algorithm: s.view.Algorithm.String()}
		for _, e := range s.entries {
			if !e.gone {
				one.Nodes = append(one.Nodes, NodeStatus{e.Node, e.since, e.seen})
			}
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b SlotStatus) int { return cmp.Compare(a.Key, b.Key) })
	return all
}
