package shim

import "strconv"

// Capabilities is a set of Linux capabilities (capabilities(7)), by their numbers.
type Capabilities uint64

// CapabilityNames are in the order of their numbers (linux/capability.h).
var CapabilityNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
	"ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
	"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
	"lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
}

// Has tells whether the capability of that number is among them.
func (c Capabilities) Has(number int) bool { return c&(1<<number) != 0 }

// String is a list that proc.ParseCapabilities reads; "none" for the empty set.
func (c Capabilities) String() string {
	list := ""
	for i := range 64 {
		if c.Has(i) {
			list += "," + capabilityName(i)
		}
	}
	if list == "" {
		return "none"
	}
	return list[1:]
}

func capabilityName(number int) string {
	if number < len(CapabilityNames) {
		return CapabilityNames[number]
	}
	return strconv.Itoa(number)
}
