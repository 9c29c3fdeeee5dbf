package rule

// What to do about actions of uWSGI that this front does not have.
const (
	inVassal    = "it is a worker's business, write it in the vassal's own file"
	noCache     = "the front has no cache; the vassal itself can still use it, or put a caching proxy before the front"
	noStore     = "the front speaks no such protocol; the vassal itself can still use it"
	noRPC       = "the front runs no code of applications; the vassal itself can still use it"
	noMetrics   = "the front counts requests by itself, see its statistics"
	noTunnel    = "the front opens no tunnels for clients; websockets need no action"
	leaveItOut  = "leave it out, the front frames every response by itself"
	noOffload   = "leave it out: no worker is blocked here, so nothing needs to be offloaded"
	toHeaders   = "write return:CODE TEXT, or addheader: and static:"
	otherAuth   = "write basicauth:REALM,FILE, or let the vassal ask"
	noTransform = "the front does not change bodies but for gzip: and chunked:; the vassal itself can still use it"
)

// otherActions are uWSGI's actions that this front does not have, and what to
// use instead. Several make no sense outside of a worker.
var otherActions = map[string]string{
	"httpdumb": "write http:", "httpconnect": noTunnel, "proxyhttpconnect": noTunnel,
	"donotoffload": noOffload, "offload": noOffload,
	"radius": otherAuth, "ldapauth": otherAuth, "spnego": otherAuth,
	"access":  "write route-if-not = ipv4in:${REMOTE_ADDR};10.0.0.0/8 return:403",
	"toupper": noTransform, "template": noTransform, "tofile": noTransform,
	"fixpathinfo": "write rewrite: with a capture of what follows SCRIPT_NAME",
	"setprocname": inVassal, "harakiri": inVassal, "chdir": inVassal, "signal": inVassal,
	"flush": leaveItOut, "fixcl": leaveItOut, "forcecl": leaveItOut,
	"disableheaders": toHeaders, "send": toHeaders, "send-crnl": toHeaders,
	"cache": noCache, "cache-continue": noCache, "cachestore": noCache, "cache-store": noCache, "cacheset": noCache,
	"cachevar": noCache, "cacheinc": noCache, "cachedec": noCache, "cachemul": noCache, "cachediv": noCache,
	"memcached": noStore, "memcached-continue": noStore, "memcachedstore": noStore, "memcached-store": noStore,
	"redis": noStore, "redis-continue": noStore, "redisstore": noStore, "redis-store": noStore,
	"rpc": noRPC, "call": noRPC, "rpcret": noRPC, "rpcnext": noRPC, "rpcblob": noRPC, "rpcraw": noRPC, "rpcvar": noRPC,
	"metricinc": noMetrics, "metricdec": noMetrics, "metricmul": noMetrics, "metricdiv": noMetrics, "metricset": noMetrics,
	"cgi": "write fastcgi: or a vassal that runs the program", "cgihelper": "write fastcgi: or a vassal that runs the program",
	"xattr":      "the front reads no attributes of files; keep the values in the rules",
	"disconnect": "write break:",
}
