package router

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"emperor/router/sni"
)

// watchExpiry says in the log which certificates end soon: 21, 7 and 1 days before,
// and when they have ended. It ends with ctx.
func (r *Router) watchExpiry(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	var watch sni.ExpiryWatch
	for {
		select {
		case <-ticker.C:
		case <-r.looked:
		case <-ctx.Done():
			return
		}
		r.warnOfExpiry(&watch, time.Now())
	}
}

func (r *Router) warnOfExpiry(watch *sni.ExpiryWatch, now time.Time) {
	for _, e := range watch.Due(now, r.certificates.Expiries()) {
		message, level := "a certificate ends soon", slog.LevelWarn
		if e.Step(now) == 0 {
			message, level = "a certificate has ended; browsers refuse it", slog.LevelError
		}
		r.log.LogAttrs(context.Background(), level, message, slog.String("name", e.Name), slog.String("certificate", filepath.Clean(e.Source)),
			slog.String("on", e.NotAfter.Format(time.DateTime)), slog.Int("days", e.Days(now)))
	}
}

// mostExpiring bounds the certificates that the figures name.
const mostExpiring = 100

// certificateFigures are what http-stats says of certificates: counts, when the next
// of those that are loaded ends, and which end within 21 days.
func (r *Router) certificateFigures(now time.Time) map[string]any {
	stats := r.certificates.Stats()
	out := map[string]any{"loaded": stats.Loaded, "loads": stats.Loads, "failed_loads": stats.Failures, "evicted": stats.Evicted, "handshakes_failed": r.counters.handshakesFailed.Load()}
	all := r.certificates.Expiries()
	slices.SortFunc(all, func(a, b sni.Expiry) int { return a.NotAfter.Compare(b.NotAfter) })
	soon := []any{}
	for i, e := range all {
		if i == 0 {
			out["next_expiry"] = e.NotAfter.Unix()
		}
		if e.Step(now) < 0 || i == mostExpiring {
			break
		}
		soon = append(soon, map[string]any{"name": e.Name, "file": e.Source, "expires": e.NotAfter.Unix(), "days": e.Days(now)})
	}
	out["expiring"] = soon
	return out
}
