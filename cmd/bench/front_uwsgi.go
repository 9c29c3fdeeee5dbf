package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// prepareUWSGI needs no file. The router has no rules: all requests go to one
// address. It writes no access log, workers would.
func prepareUWSGI(processes int) func(setup) (program, error) {
	return func(s setup) (program, error) {
		return program{path: s.tools.path(toolUWSGI), args: []string{
			"--plugin", "http", // a package of its own in Debian; where it is built in, this is a warning
			"--http", s.address,
			"--http-to", s.uwsgiSocket(),
			"--http-keepalive=" + strconv.Itoa(keepAlive),
			"--http-timeout", "60",
			"--http-websockets",
			"--http-processes", strconv.Itoa(processes),
			"--listen", "1024",
			"--master", "--die-on-term", "--disable-logging",
		}}, nil
	}
}

// prepareRouteHost is the arrangement for many sites with routing in uWSGI: the
// router passes all requests to a worker of the same instance, whose rules pass
// them on to the sites' sockets. The worker would wait for each answer; with an
// offload thread it does not. What such a thread serves is in no access log.
func prepareRouteHost(s setup) (program, error) {
	args := []string{
		"--plugins", "http,router_uwsgi,router_http",
		"--http", s.address,
		"--http-keepalive=" + strconv.Itoa(keepAlive),
		"--http-timeout", "60",
		"--listen", "1024",
		"--offload-threads", "1",
		"--master", "--die-on-term", "--disable-logging",
	}
	for _, host := range s.otherHosts() {
		args = append(args, "--route-host", fmt.Sprintf("^%s$ uwsgi:%s,0,0", strings.ReplaceAll(host, ".", `\.`), filepath.Join(s.dir, host+".sock")))
	}
	args = append(args,
		"--route-host", `^uwsgi\.bench\.test$ uwsgi:`+s.uwsgiSocket()+",0,0",
		"--route-host", `^http\.bench\.test$ http:`+s.httpSocket(),
		"--route-host", `^([-\w]+)\.capture\.test$ uwsgi:`+filepath.Join(s.backend, "$1.sock")+",0,0")
	return program{path: s.tools.path(toolUWSGI), args: args}, nil
}
