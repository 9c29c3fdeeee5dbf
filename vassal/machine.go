package vassal

// State is where a vassal is in its life. Exactly one goroutine, the one in
// (*Vassal).Run, changes it; everybody else reads a published Status.
type State uint8

const (
	Waiting   State = iota // no file was read yet
	Asleep                 // nothing runs, and somebody who connects wakes it
	Starting               // a generation is on its way up, none serves
	Ready                  // a generation serves
	Reloading              // a generation serves, its successor is on its way up
	Switching              // requests are being handed over to the successor
	Dozing                 // nobody wants anything: it is being put to sleep
	Stopping               // by order: everything is being ended
	Stopped                // by order, or because the emperor is about to end: nothing runs
	Failed                 // nothing runs; the next try comes when the back-off is over
	Leaving                // the file is gone or the emperor ends: everything is being ended
	Gone                   // nothing is left; Run returns

	stateCount
)

var stateNames = [stateCount]string{
	Waiting: "waiting", Asleep: "asleep", Dozing: "dozing", Starting: "starting", Ready: "ready", Reloading: "reloading", Switching: "switching",
	Stopping: "stopping", Stopped: "stopped", Failed: "failed", Leaving: "leaving", Gone: "gone",
}

func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return "unknown"
}

// Event is something that happened to a vassal.
type Event uint8

const (
	// Wanted: a file was read, for the first time or changed; a new generation
	// may start beside the one that runs.
	Wanted Event = iota
	// WantedAlone: the same, but the two would collide.
	WantedAlone
	// WantedAsleep: the same, and it is not to start before somebody wants something
	// of it. NotArmed: but its sockets cannot be had.
	WantedAsleep
	NotArmed
	Refused         // the file has mistakes
	Removed         // the file is gone
	Halted          // the emperor is about to end: nothing is started any more
	Shutdown        // the emperor ends
	StartOrdered    // by an operator
	StopOrdered     //
	ReloadOrdered   //
	RestartOrdered  // also a reload of a vassal whose generations would collide
	BecameReady     // the starting generation has proved that it answers
	StartFailed     // it did not come up
	HandedOver      // the successor has the requests
	HandOverFailed  // it could not be given them
	Exited          // the serving generation died after a healthy life
	ExitedEarly     // it died soon after its start, or in a way that needs a pause
	StartFailedLast // as StartFailed, after Halted
	ExitedLast      // as Exited, after Halted
	ExitedAsleep    // as Exited; it starts again when somebody wants something of it
	Woken           // somebody wants something of it
	WokenInVain     // the same, but its file has mistakes
	GrownIdle       // nobody has wanted anything for as long as its file says
	FellAsleep      // it was told to end, and nothing is sent to it any more
	StaysAwake      // somebody came just then
	BackOffElapsed  //
	BackOffOver     // as BackOffElapsed; it starts when somebody wants something of it
	SocketFreed     // the one that another vassal had
	Outgrown        // the serving generation takes more memory than its file allows
	OutgrownAlone   // the same, and a second one cannot run beside it
	Unhealthy       // the serving generation does not work any more, and another may start beside it
	UnhealthyAlone  // the same, but the two would collide
	FolderMoved     // another folder has taken the place of the one that is served
	EverythingEnded // no process of any generation is left

	eventCount
)

var eventNames = [eventCount]string{
	"wanted", "wanted alone", "wanted asleep", "not armed", "refused", "removed", "halted", "shutdown", "start ordered", "stop ordered", "reload ordered",
	"restart ordered", "became ready", "start failed", "handed over", "hand-over failed", "exited", "exited early",
	"start failed for good", "exited for good", "exited to sleep", "woken", "woken in vain", "grown idle", "fell asleep", "stays awake",
	"back-off elapsed", "back-off over", "socket freed", "outgrown", "outgrown alone", "unhealthy", "unhealthy alone", "folder moved", "everything ended",
}

func (e Event) String() string {
	if e < eventCount {
		return eventNames[e]
	}
	return "unknown"
}

// because says to people why a vassal is in the state that the event has led to.
var because = map[Event]string{
	Wanted: "its file is new or was changed", WantedAlone: "its file was changed",
	Removed: "its file is gone", Shutdown: "the emperor is stopping", Halted: "the emperor is stopping",
	StartOrdered: "a start was ordered", StopOrdered: "a stop was ordered",
	ReloadOrdered: "a reload was ordered", RestartOrdered: "a restart was ordered",
	SocketFreed:  "the socket that another vassal had is free",
	WantedAsleep: "it starts on demand",
	FolderMoved:  "another folder has taken the place of the one that was served",
}

// action is what a move does.
type action uint8

const (
	nothing   action = iota
	start            // make a generation
	restart          // abandon the one on its way up, make another
	exchange         // end the serving one (and abandon the one on its way up), make another when it is gone
	serve            // the new generation serves: there was none before
	handOver         // give requests from the serving generation to its successor
	complete         // the successor serves, the old one drains
	keepOld          // the successor is abandoned, the old one goes on
	loseOld          // the serving one died; what is on its way up becomes all there is
	again            // the serving one died; start at once
	hold             // arm the back-off
	stop             // end everything
	hurry            // end everything within the stop time
	giveUp           // the successor is abandoned, because nothing is started any more
	rest             // what is down stays down
	arm              // hold its sockets, and watch them
	doze             // make it end while the router sends nothing
	sleepNow         // nothing serves any more; watch its sockets
	stayAwake        // go on as before
	lieDown          // the serving one died; watch its sockets
	heal             // make another in the place of one that does not work
	healAlone        // the same, when that has ended
	postpone         // the event waits until the hand-over is over
)

// move is where an event leads.
type move struct {
	to State
	do action
}

// moves is the whole machine. Who is missing cannot happen, and is logged as a
// mistake in this program. What an event means beyond it (which generation, why)
// is data beside the state.
var moves = map[State]map[Event]move{
	Waiting: {
		Refused:        {Failed, nothing},
		Wanted:         {Starting, start},
		WantedAsleep:   {Asleep, arm},
		NotArmed:       {Failed, hold},
		Removed:        {Leaving, stop},
		Halted:         {Stopped, rest},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Waiting, nothing},
		StopOrdered:    {Stopping, stop},
		ReloadOrdered:  {Waiting, nothing},
		RestartOrdered: {Waiting, nothing},
		Woken:          {Waiting, nothing},
	},
	// An edit and a reload do not wake it: the next start reads the file.
	Asleep: {
		Refused:        {Asleep, nothing},
		Wanted:         {Starting, start},
		WantedAsleep:   {Asleep, arm},
		NotArmed:       {Failed, hold},
		Removed:        {Leaving, stop},
		Halted:         {Stopped, rest},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Starting, start},
		StopOrdered:    {Stopping, stop},
		ReloadOrdered:  {Asleep, arm},
		RestartOrdered: {Starting, start},
		Woken:          {Starting, start},
		WokenInVain:    {Failed, nothing},
	},
	Starting: {
		Refused:         {Starting, nothing},
		Wanted:          {Starting, restart},
		Removed:         {Leaving, stop},
		Halted:          {Starting, nothing},
		Shutdown:        {Leaving, hurry},
		StartOrdered:    {Starting, nothing},
		StopOrdered:     {Stopping, stop},
		ReloadOrdered:   {Starting, restart},
		RestartOrdered:  {Starting, restart},
		BecameReady:     {Ready, serve},
		Woken:           {Starting, nothing},
		StartFailed:     {Failed, hold},
		StartFailedLast: {Stopped, rest},
	},
	Ready: {
		Refused:        {Ready, nothing},
		Wanted:         {Reloading, start},
		WantedAlone:    {Starting, exchange},
		Removed:        {Leaving, stop},
		Halted:         {Ready, nothing},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Ready, nothing},
		StopOrdered:    {Stopping, stop},
		ReloadOrdered:  {Reloading, start},
		RestartOrdered: {Starting, exchange},
		FolderMoved:    {Reloading, start},
		Unhealthy:      {Reloading, heal},
		UnhealthyAlone: {Starting, healAlone},
		Outgrown:       {Reloading, start},
		OutgrownAlone:  {Starting, exchange},
		Exited:         {Starting, again},
		ExitedEarly:    {Failed, hold},
		ExitedLast:     {Stopped, rest},
		ExitedAsleep:   {Asleep, lieDown},
		GrownIdle:      {Dozing, doze},
		Woken:          {Ready, nothing},
	},
	Reloading: {
		Refused:        {Reloading, nothing},
		Wanted:         {Reloading, restart},
		WantedAlone:    {Starting, exchange},
		Removed:        {Leaving, stop},
		Halted:         {Ready, giveUp},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Reloading, nothing},
		StopOrdered:    {Stopping, stop},
		ReloadOrdered:  {Reloading, restart},
		RestartOrdered: {Starting, exchange},
		BecameReady:    {Switching, handOver},
		StartFailed:    {Ready, keepOld},
		Exited:         {Starting, loseOld},
		ExitedEarly:    {Starting, loseOld},
		ExitedAsleep:   {Starting, loseOld},
		GrownIdle:      {Reloading, nothing},
		Woken:          {Reloading, nothing},
	},
	// A hand-over takes milliseconds, and seconds at most: nothing interrupts it.
	Switching: {
		Refused:        {Switching, nothing},
		Wanted:         {Switching, postpone},
		WantedAlone:    {Switching, postpone},
		Removed:        {Switching, postpone},
		Halted:         {Switching, postpone},
		Shutdown:       {Switching, postpone},
		StartOrdered:   {Switching, nothing},
		StopOrdered:    {Switching, postpone},
		ReloadOrdered:  {Switching, postpone},
		RestartOrdered: {Switching, postpone},
		HandedOver:     {Ready, complete},
		HandOverFailed: {Ready, keepOld},
		Exited:         {Switching, postpone},
		ExitedEarly:    {Switching, postpone},
		ExitedLast:     {Switching, postpone},
		ExitedAsleep:   {Switching, postpone},
		GrownIdle:      {Switching, nothing},
		Woken:          {Switching, nothing},
	},
	// As a hand-over, to nobody.
	Dozing: {
		Refused:        {Dozing, nothing},
		Wanted:         {Dozing, postpone},
		WantedAlone:    {Dozing, postpone},
		Removed:        {Dozing, postpone},
		Halted:         {Dozing, postpone},
		Shutdown:       {Dozing, postpone},
		StartOrdered:   {Dozing, postpone},
		StopOrdered:    {Dozing, postpone},
		ReloadOrdered:  {Dozing, postpone},
		RestartOrdered: {Dozing, postpone},
		FolderMoved:    {Dozing, postpone},
		Woken:          {Dozing, postpone},
		GrownIdle:      {Dozing, nothing},
		FellAsleep:     {Asleep, sleepNow},
		StaysAwake:     {Ready, stayAwake},
	},
	Stopping: {
		Refused:         {Stopping, nothing},
		Wanted:          {Stopping, nothing},
		WantedAsleep:    {Stopping, nothing},
		Woken:           {Stopping, nothing},
		Removed:         {Leaving, nothing},
		Halted:          {Stopping, nothing},
		Shutdown:        {Leaving, hurry},
		StartOrdered:    {Starting, start},
		StopOrdered:     {Stopping, nothing},
		ReloadOrdered:   {Starting, start},
		RestartOrdered:  {Starting, start},
		EverythingEnded: {Stopped, nothing},
	},
	Stopped: {
		Refused:        {Stopped, nothing},
		Wanted:         {Stopped, nothing},
		WantedAsleep:   {Stopped, nothing},
		Woken:          {Stopped, nothing},
		Removed:        {Leaving, stop},
		Halted:         {Stopped, nothing},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Starting, start},
		StopOrdered:    {Stopped, nothing},
		ReloadOrdered:  {Starting, start},
		RestartOrdered: {Starting, start},
	},
	Failed: {
		Refused:        {Failed, nothing},
		Wanted:         {Starting, start},
		WantedAsleep:   {Asleep, arm},
		NotArmed:       {Failed, hold},
		BackOffOver:    {Asleep, arm},
		Woken:          {Failed, nothing},
		Removed:        {Leaving, stop},
		Halted:         {Stopped, rest},
		Shutdown:       {Leaving, hurry},
		StartOrdered:   {Starting, start},
		StopOrdered:    {Stopping, stop},
		ReloadOrdered:  {Starting, start},
		RestartOrdered: {Starting, start},
		BackOffElapsed: {Starting, start},
		SocketFreed:    {Starting, start},
	},
	Leaving: {
		Refused:         {Leaving, nothing},
		Wanted:          {Starting, start}, // the file came back
		WantedAsleep:    {Asleep, arm},
		NotArmed:        {Failed, hold},
		Woken:           {Leaving, nothing},
		Removed:         {Leaving, nothing},
		Halted:          {Leaving, nothing},
		Shutdown:        {Leaving, hurry},
		StartOrdered:    {Leaving, nothing},
		StopOrdered:     {Leaving, nothing},
		ReloadOrdered:   {Leaving, nothing},
		RestartOrdered:  {Leaving, nothing},
		EverythingEnded: {Gone, nothing},
	},
	Gone: {},
}
