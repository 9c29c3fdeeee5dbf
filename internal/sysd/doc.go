// Package sysd speaks with the service manager: sockets it has opened for us,
// notifications it waits for, the watchdog it keeps. It also plays the manager's
// part towards our own children, with a private notify socket for each.
//
// The one idea: what lies between us and our manager ends with us. A variable
// such as NOTIFY_SOCKET that reached a vassal would let it announce READY in our
// name, so StripEnv removes all of them from what children get, while we
// ourselves keep them: nothing here unsets NOTIFY_SOCKET, after which later
// notifications would silently go nowhere.
//
// Without systemd every call is a quiet no-op. Descriptors taken over belong to
// the caller. The sources are sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
package sysd
