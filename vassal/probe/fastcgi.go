package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A FastCGI program is asked for a path as the front asks it for one. One with a folder
// of scripts (PHP) is told a script: the path itself, which PHP-FPM's ping.path and
// pm.status_path are compared with, and where it says that there is no such script the
// front controller, /index.php. One without is told the path.

// askFastCGI is Ask for a path.
func (w *Waiting) askFastCGI(ctx context.Context, network, to, root, path string) error {
	script := ""
	if root != "" {
		script, _, _ = strings.Cut(path, "?")
	}
	unknown, err := w.askScript(ctx, network, to, root, script, path)
	if unknown && script != frontController {
		_, err = w.askScript(ctx, network, to, root, frontController, path)
	}
	return err
}

const frontController = "/index.php"

// askScript asks once. unknown: there is no such script.
func (w *Waiting) askScript(ctx context.Context, network, to, root, script, path string) (unknown bool, err error) {
	err = w.converse(ctx, network, to, fastCGIRequest(root, script, path), true, func(r *bufio.Reader) (err error) {
		unknown, err = fastCGIAnswer(r, path)
		return err
	})
	return unknown, err
}

// The types of records (FastCGI specification 1.0, section 8).
const (
	fcgiBegin     = 1
	fcgiEnd       = 3
	fcgiParams    = 4
	fcgiStdin     = 5
	fcgiStdout    = 6
	fcgiStderr    = 7
	fcgiGetValues = 9
)

// fastCGIRecord is short enough for one record.
func fastCGIRecord(kind byte, id uint16, content []byte) []byte {
	head := []byte{1, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), 0, 0}
	return append(head, content...)
}

// fastCGIRequest asks for a script, or, if that is empty, for a path.
func fastCGIRequest(root, script, path string) []byte {
	vars := questionVars("GET", path)
	if script != "" {
		for i := range vars {
			switch vars[i][0] {
			case "SCRIPT_NAME":
				vars[i][1] = script
			case "PATH_INFO":
				vars[i][1] = ""
			}
		}
		vars = append(vars, [2]string{"DOCUMENT_ROOT", root}, [2]string{"SCRIPT_FILENAME", root + script})
	}
	vars = append(vars, [2]string{"GATEWAY_INTERFACE", "CGI/1.1"})
	var params []byte
	for _, kv := range vars {
		for _, s := range kv {
			params = binary.BigEndian.AppendUint32(params, uint32(len(s))|1<<31)
		}
		params = append(append(params, kv[0]...), kv[1]...)
	}
	responder := []byte{0, 1, 0, 0, 0, 0, 0, 0} // that closes the connection afterwards
	return bytes.Join([][]byte{
		fastCGIRecord(fcgiBegin, 1, responder), fastCGIRecord(fcgiParams, 1, params), fastCGIRecord(fcgiParams, 1, nil), fastCGIRecord(fcgiStdin, 1, nil),
	}, nil)
}

// longestHead is how much of an answer is looked at.
const longestHead = 64 << 10

// fastCGIAnswer reads the answer up to its end, or as much of it as is looked at.
func fastCGIAnswer(r *bufio.Reader, path string) (unknown bool, err error) {
	var out, complaints []byte
	for len(out)+len(complaints) < longestHead {
		head := make([]byte, 8)
		if _, err := io.ReadFull(r, head); err != nil {
			return false, fmt.Errorf("the answer is cut off: %w", err)
		}
		if head[0] != 1 {
			return false, fmt.Errorf("the answer is not FastCGI: it begins with byte %d", head[0])
		}
		length := int(binary.BigEndian.Uint16(head[4:]))
		content := make([]byte, length+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return false, fmt.Errorf("the answer is cut off: %w", err)
		}
		switch content = content[:length]; head[1] {
		case fcgiStdout:
			out = append(out, content...)
		case fcgiStderr:
			complaints = append(complaints, content...)
		case fcgiEnd:
			if len(content) == 8 && content[4] != 0 {
				return false, fmt.Errorf("the program refuses the request (protocol status %d)", content[4])
			}
			if len(out) == 0 {
				return false, errors.New("the answer is empty")
			}
			status, err := cgiStatus(out, path)
			return status == 404 && bytes.Contains(complaints, []byte("Primary script unknown")), err
		}
	}
	_, err = cgiStatus(out, path)
	return false, err
}

// cgiStatus is the status that a head says, or means; one of 500 or more is an error.
func cgiStatus(head []byte, path string) (status int, err error) {
	for line := range bytes.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		if name == "" {
			break
		}
		if !strings.EqualFold(name, "Status") {
			continue
		}
		code, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if status, err = strconv.Atoi(code); err != nil || status >= 500 {
			return status, &BadAnswer{path, code}
		}
		return status, nil
	}
	return 200, nil
}
