package sni

// Issued are the names whose certificates somebody orders from a certificate
// authority: the files that a [Loader] is asked for are only names for them.
type Issued struct {
	// Directory is the File.Directory of all of them.
	Directory string
	Names     []string // canonical hosts
	// Serves tells of any other canonical name whether it is worth asking for. It is
	// called for each handshake, by many goroutines. nil: no other is.
	Serves func(name string) bool
	Policy Policy
	At     string // FILE:LINE, for messages
}

// issued is the same in a Table.
type issued struct {
	Issued
	names map[string]struct{}
	id    PolicyID
}

func (t *Table) addIssued(i *Issued, problem func(at string, harmless bool, err error)) {
	if i == nil {
		return
	}
	if err := i.Policy.check(); err != nil {
		problem(i.At, false, err)
		return
	}
	t.issued = &issued{Issued: *i, names: make(map[string]struct{}, len(i.Names)), id: i.Policy.ID()}
	for _, name := range i.Names {
		t.issued.names[name] = struct{}{}
	}
}

// find returns what a name gets. A certificate may not be there yet, which is
// nobody's mistake: the choice counts as a guess.
func (i *issued) find(name string) (Choice, bool) {
	if _, spelled := i.names[name]; !spelled && (i.Serves == nil || !i.Serves(name)) {
		return Choice{}, false
	}
	file := File{Directory: i.Directory, Name: name}
	return Choice{
		Kind: Ordered, Source: Source{Certificate: file, Key: file},
		Policy: &i.Policy, Rule: name, At: i.At, id: i.id, guessed: true,
	}, true
}
