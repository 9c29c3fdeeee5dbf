package proc

import (
	"fmt"
	"strconv"
	"strings"
)

// Capabilities is a set of Linux capabilities (capabilities(7)), by their numbers.
type Capabilities uint64

// capabilityNames are in the order of their numbers (linux/capability.h).
var capabilityNames = strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
	linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
	sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
	audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon
	bpf checkpoint_restore`)

// SetPCap is the right to take capabilities away. uWSGI's emperor-cap always leaves it.
const SetPCap Capabilities = 1 << 8

// ParseCapabilities reads a list as uWSGI's options have it: "setuid,net_bind_service".
// The prefix cap_ may be there, upper case too.
func ParseCapabilities(list string) (Capabilities, error) {
	var set Capabilities
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "cap_")
		number := -1
		for i, known := range capabilityNames {
			if known == name {
				number = i
			}
		}
		if number < 0 {
			return 0, fmt.Errorf("there is no capability %q: want names such as net_bind_service,setuid (man 7 capabilities)", name)
		}
		set |= 1 << number
	}
	return set, nil
}

// Has tells whether the capability of that number is among them.
func (c Capabilities) Has(number int) bool { return c&(1<<number) != 0 }

// String is a list that ParseCapabilities reads; "none" for the empty set.
func (c Capabilities) String() string {
	var names []string
	for i := range 64 {
		if c.Has(i) {
			names = append(names, capabilityName(i))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

func capabilityName(number int) string {
	if number < len(capabilityNames) {
		return capabilityNames[number]
	}
	return strconv.Itoa(number)
}
