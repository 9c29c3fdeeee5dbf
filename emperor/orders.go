package emperor

import (
	"context"
	"io"
	"net"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal"
)

// orderOptions are the ways in which people and programs tell the emperor what to do,
// beside its control socket.
var orderOptions = []config.Option{
	{Name: "emperor-hup-reloads-vassals", Type: config.Flag, Where: config.Main,
		Help: "SIGHUP also reloads every vassal that runs, as uWSGI's emperor does. Without it SIGHUP reads the main file again, and only what has changed is reloaded."},
	{Name: "touch-reload", Type: config.String, Repeat: true, Where: config.Main,
		Help: "When this file is touched, made or removed, do what SIGHUP does. (In a vassal's file: reload the vassal.)"},
	{Name: "emperor-procname", Aliases: []string{"emperor-proc-name"}, Type: config.String, Where: config.Main,
		Help: "What ps and top call the emperor, as far as there is room where its command line was."},
	{Name: "procname", Type: config.String, Where: config.Main,
		Help: "As emperor-procname, in a main file that names vassals."},
	{Name: "emperor-command-socket", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Take the commands of uWSGI 2.1 (spawn, respawn, stop, log) as datagrams here: a path, where only root and the emperor's user are heard, or host:port, where everybody is."},
	{Name: "emperor-trigger-socket", Type: config.String, Repeat: true, Where: config.Main,
		Help: "A connection to this address makes the emperor look for changed files at once, as SIGWINCH does."},
	{Name: "emperor-wait-for-command", Type: config.Flag, Where: config.Main,
		Help: "No vassal starts before somebody orders it (emperor start, or spawn on the command socket)."},
	{Name: "emperor-wait-for-command-ignore", Type: config.String, Repeat: true, Where: config.Main,
		Help: "A vassal that emperor-wait-for-command is not about."},
}

// order gives a vassal an order that nobody waits for. Its outcome is in the vassal's
// own log lines.
func (e *Emperor) order(s site, o vassal.Order) {
	e.orders.Go(func() { _ = s.Order(e.orderContext, o) })
}

// reloadAll gives every vassal that runs a new generation. Those that sleep or are
// stopped stay so: their next start reads their files anyway.
func (e *Emperor) reloadAll() {
	count := 0
	for entry := range e.registry.all() {
		switch entry.site.State() {
		case vassal.Ready, vassal.Starting, vassal.Reloading, vassal.Switching:
			if !entry.leaving {
				count++
				e.order(entry.site, vassal.OrderReload)
			}
		}
	}
	e.log.Info("reloading every vassal that runs", "vassals", count)
}

// amnesty lets every vassal that waits after failures start at once, and forgets them.
func (e *Emperor) amnesty() {
	e.log.Info("SIGURG: failures are forgotten, who waits after one starts now")
	e.chronicle.forgive()
	for entry := range e.registry.all() {
		entry.site.Forgive()
	}
}

// forgive forgets failures.
func (c *chronicle) forgive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lives {
		l.failures = 0
	}
}

// hangUp is what SIGHUP and a touch of the main file's touch-reload ask for.
func (e *Emperor) hangUp(why string) (again bool) {
	e.log.Info(why + ": reading the main file again")
	e.stateful.reloading()
	again = e.reload(true)
	if e.main.Config.Bool("emperor-hup-reloads-vassals") {
		e.reloadAll()
	}
	e.stateful.reloaded()
	return again
}

// freshSockets are sockets for orders and stats that are open and not yet served.
type freshSockets struct {
	stats    map[string]net.Listener
	commands map[string]io.Closer
}

func (f freshSockets) discard() {
	discard(f.stats)
	discardSockets(f.commands)
}

// prepareOrders opens the sockets of a main file that are not open yet.
func (e *Emperor) prepareOrders(m *Main) (f freshSockets, err error) {
	if f.stats, err = e.stats.prepare(m.stats); err == nil {
		if f.commands, err = e.commands.prepare(m.commands); err != nil {
			discard(f.stats)
		}
	}
	return f, err
}

func (e *Emperor) settleOrders(m *Main, f freshSockets) {
	e.stats.settle(m.stats, f.stats)
	e.commands.settle(m.commands, f.commands)
	e.title(m)
}

// title is what ps calls us.
func (e *Emperor) title(m *Main) {
	name := m.Config.Text("emperor-procname")
	if name == "" && m.App == nil {
		name = m.Config.Text("procname")
	}
	if name == "" {
		return
	}
	if err := proc.SetTitle(name); err != nil {
		e.log.Warn("emperor-procname", "err", err)
	}
}

// openOrders opens all of them for the first time.
func (e *Emperor) openOrders() error {
	e.stats = newStatsServer(e.statsDocument, e.log)
	e.commands = newCommandServer(e.carryOut, func() { e.monitor.Scan() }, e.log)
	f, err := e.prepareOrders(e.main)
	if err == nil {
		e.settleOrders(e.main, f)
	}
	return err
}

func (e *Emperor) closeOrders() {
	e.stats.close()
	e.commands.close()
}

// tend makes ready what orders need; the function it returns ends it, when the vassals
// have ended.
func (e *Emperor) tend(ctx context.Context) (end func()) {
	e.orderContext = ctx
	return e.orders.Wait
}
