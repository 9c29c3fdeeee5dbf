package proc

import (
	"fmt"
	"strings"

	"emperor/internal/shim"
)

// Capabilities is a set of Linux capabilities (capabilities(7)), by their numbers.
type Capabilities = shim.Capabilities

// SetPCap is the right to take capabilities away. uWSGI's emperor-cap always leaves it.
const SetPCap Capabilities = 1 << 8

// ParseCapabilities reads a list as uWSGI's options have it: "setuid,net_bind_service".
// The prefix cap_ may be there, upper case too.
func ParseCapabilities(list string) (Capabilities, error) {
	var set Capabilities
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "cap_")
		number := -1
		for i, known := range shim.CapabilityNames {
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
