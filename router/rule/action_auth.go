package rule

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// basicAuthAction asks for a user and password: basicauth:REALM,USER:PASSWORD for
// one user, basicauth:REALM,FILE for those of an htpasswd file, basicauth:REALM,
// for nobody. Who has the right one goes on to the next rule as REMOTE_USER; so
// does anybody who has got in by an earlier rule. Who has not is answered 401 or,
// with basicauth-next, left to the next rule.
type basicAuthAction struct {
	realm     string
	challenge string
	user      string            // of a password in the rule
	digest    [sha256.Size]byte // of user:password
	file      string            // as written
	root      int
	mode      authMode
	next      bool
}

type authMode uint8

const (
	authNobody authMode = iota
	authLiteral
	authFile
)

func parseBasicAuth(next bool) parser {
	return func(arguments string, s *scope) (action, error) {
		realm, users, found := strings.Cut(arguments, ",")
		if !found {
			return nil, errors.New("want REALM,USER:PASSWORD or REALM,FILE")
		}
		if err := fixed(realm); err != nil {
			return nil, err
		}
		if hasControl([]byte(realm)) {
			return nil, errors.New("want a realm without control characters")
		}
		a := &basicAuthAction{realm: realm, next: next}
		a.challenge = `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`
		user, _, isPair := strings.Cut(users, ":")
		switch {
		case users == "":
		case isPair && user == "":
			return nil, errors.New("want a user before the colon")
		case isPair:
			a.mode, a.user, a.digest = authLiteral, user, sha256.Sum256([]byte(users))
		default:
			if err := fixed(users); err != nil {
				return nil, err
			}
			file, err := parseFilePath(users, PasswordRoot, s)
			if err != nil {
				return nil, err
			}
			a.mode, a.file, a.root = authFile, users, file.root
		}
		return a, nil
	}
}

func (a *basicAuthAction) apply(r *Rule, q *Query, d *Decision) flow {
	if user, _ := d.variable(q, "REMOTE_USER"); len(user) > 0 {
		return next
	}
	authorization, _ := d.variable(q, "HTTP_AUTHORIZATION")
	user, verdict := a.check(authorization, q, d)
	switch {
	case verdict == Accepted:
		d.set(&partRemoteUser, d.keep(user), origin{})
		return next
	case a.next && verdict == Denied:
		return next
	}
	d.Rule = r
	if verdict == Busy {
		d.Kind, d.Code, d.Reason = Status, http.StatusServiceUnavailable, d.keep(http.StatusText(http.StatusServiceUnavailable))
		d.Body = d.Reason
		d.Response.Headers = append(d.Response.Headers, HeaderEdit{Name: "Retry-After", Value: d.keep("1")})
		return stop
	}
	d.Kind, d.Code, d.Reason = Challenge, http.StatusUnauthorized, d.keep("Authorization Required")
	d.Challenge, d.Body = d.keep(a.challenge), d.keep("Unauthorized")
	return stop
}

func (a *basicAuthAction) check(authorization []byte, q *Query, d *Decision) (user string, verdict Verdict) {
	switch {
	case a.mode == authFile && q.Passwords != nil:
		return q.Passwords.Check(a.root, authorization)
	case a.mode == authLiteral:
		var ok bool
		if d.made, ok = appendCredentials(d.made[:0], authorization); !ok {
			return "", Denied
		}
		// Digests have one length, so that not even that of the right one is told.
		digest := sha256.Sum256(d.made)
		if subtle.ConstantTimeCompare(digest[:], a.digest[:]) == 1 {
			return a.user, Accepted
		}
	}
	return "", Denied
}

// appendCredentials appends the "user:password" of an Authorization field. The
// scheme's case does not matter (RFC 9110 §11.1); to uWSGI it does.
func appendCredentials(dst, authorization []byte) (credentials []byte, ok bool) {
	const scheme = "basic"
	if len(authorization) <= len(scheme) || authorization[len(scheme)] != ' ' {
		return dst, false
	}
	for i := range len(scheme) {
		if authorization[i]|0x20 != scheme[i] {
			return dst, false
		}
	}
	text := authorization[len(scheme):]
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	dst, err := base64.StdEncoding.AppendDecode(dst, text)
	return dst, err == nil
}

// withoutPassword takes the password off the end of a directive.
func (a *basicAuthAction) withoutPassword(directive string) string {
	before, after, found := strings.Cut(directive, ","+a.user+":")
	if a.mode != authLiteral || !found || after == "" {
		return directive
	}
	return before + "," + a.user + ":…"
}

func (a *basicAuthAction) String() string {
	name := "basicauth:"
	if a.next {
		name = "basicauth-next:"
	}
	switch a.mode {
	case authFile:
		return name + a.realm + "," + a.file
	case authLiteral:
		return name + a.realm + "," + a.user + ":…" // the password is nobody's business
	}
	return name + a.realm + ","
}
