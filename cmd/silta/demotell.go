package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// tale is one line of the telling: a plain sentence, and in brackets what an engineer wants to know. It holds ids and
// places, never what a message says.
type tale struct {
	At   time.Time `json:"at"`
	From string    `json:"from,omitempty"` // partner ids; empty is the hub
	To   string    `json:"to,omitempty"`
	Text string    `json:"text"`
	Note string    `json:"note,omitempty"`
}

// teller writes tales in the order of their time. Whoever has one to tell never waits for it to be written; when too
// many come at once, some are left out.
type teller struct {
	out     io.Writer
	json    bool
	names   map[string]string
	begun   time.Time
	tales   chan tale
	flush   chan chan struct{}
	ended   chan struct{}
	stopped chan struct{}
	end     sync.Once
	writing sync.Mutex // the table comes from elsewhere
}

// patience is how long a tale is held back, since one that happened before may still come.
const patience = 60 * time.Millisecond

func newTeller(out io.Writer, asJSON bool, names map[string]string) *teller {
	w := &teller{out: out, json: asJSON, names: names, begun: time.Now(), tales: make(chan tale, 1024),
		flush: make(chan chan struct{}), ended: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w
}

func (w *teller) tell(t tale) {
	select {
	case w.tales <- t:
	default:
	}
}

// catchUp returns when all that was told so far is written.
func (w *teller) catchUp() {
	written := make(chan struct{})
	select {
	case w.flush <- written:
		<-written
	case <-w.stopped:
	}
}

// close writes what is left; what is told later isn't written. A reader of the output that doesn't read isn't waited for.
func (w *teller) close() {
	w.end.Do(func() { close(w.ended) })
	select {
	case <-w.stopped:
	case <-time.After(time.Second):
	}
}

func (w *teller) run() {
	defer close(w.stopped)
	tick := time.NewTicker(patience / 3)
	defer tick.Stop()
	var held []tale
	write := func(until time.Time) {
		sort.SliceStable(held, func(i, j int) bool { return held[i].At.Before(held[j].At) })
		n := 0
		for ; n < len(held) && held[n].At.Before(until); n++ {
			w.write(held[n])
		}
		held = append(held[:0], held[n:]...)
	}
	drain := func() {
		for len(w.tales) > 0 {
			held = append(held, <-w.tales)
		}
		write(time.Now().Add(time.Hour))
	}
	for {
		select {
		case t := <-w.tales:
			held = append(held, t)
		case <-tick.C:
			write(time.Now().Add(-patience))
		case written := <-w.flush:
			drain()
			close(written)
		case <-w.ended:
			drain()
			return
		}
	}
}

func (w *teller) write(t tale) {
	if w.json {
		if b, err := json.Marshal(t); err == nil {
			fmt.Fprintf(w, "%s\n", b)
		}
		return
	}
	way := w.name(t.From)
	if t.From != t.To {
		way += " → " + w.name(t.To)
	}
	line := fmt.Sprintf("%9s  %s%s  %s", offset(t.At.Sub(w.begun)), way, strings.Repeat(" ", max(0, 14-len([]rune(way)))), t.Text)
	if t.Note != "" {
		line += "  [" + t.Note + "]"
	}
	fmt.Fprintln(w, line)
}

// Write writes between two tales what else is to be read in their place.
func (w *teller) Write(b []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.out.Write(b)
}

// name is what people call a partner; the hub is Silta.
func (w *teller) name(id string) string {
	if id == "" {
		return "Silta"
	}
	if n := w.names[id]; n != "" {
		return n
	}
	return id
}

// offset words a time after the beginning; what happened in an earlier run lies before it.
func offset(d time.Duration) string {
	switch {
	case d < 0:
		return "earlier"
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// watch is told of each step by the hub, and must not block it.
func (d *demo) watch(s contracts.Step) {
	if t, telling := d.step(s); telling {
		d.teller.tell(t)
	}
	if s.Step == contracts.StepDelivered {
		d.mu.Lock()
		if d.told != nil {
			d.told[s.ID] = true
		}
		d.mu.Unlock()
	}
	select {
	case d.seen <- s.Message:
	default: // while the journey is awaited there is room; afterwards nobody counts
	}
	d.wake()
}

func (d *demo) wake() {
	select {
	case d.moved <- struct{}{}:
	default:
	}
}

// step words a step of the hub's, or says that it isn't worth a line.
func (d *demo) step(s contracts.Step) (tale, bool) {
	note := func(words ...string) string { return strings.TrimSpace(strings.Join(words, " ")) }
	to := d.teller.name
	t := tale{At: s.At}
	switch s.Step {
	case contracts.StepReceived:
		t.From, t.Text, t.Note = s.From, upper(thing(s.Type))+" arrives.", note(s.Type, s.Control)
	case contracts.StepRefused:
		t.To, t.Text, t.Note = s.From, "Refused: "+s.Fault.Public, note(s.Fault.Code, s.Fault.Place(), s.Control)
	case contracts.StepRepeated:
		t.From, t.Text, t.Note = s.From, "The same message again: acknowledged as the first time, and not delivered twice.", note(s.Type, s.Control)
	case contracts.StepCorrelated:
		t.Text, t.Note = "It belongs to the referral that "+to(s.To)+" sent.", note(s.Control)
	case contracts.StepTranslated:
		t.Text, t.Note = "Translated to the common form, for "+to(s.To)+".", note("map", s.Map)
		if s.Map == "" {
			t.Text, t.Note = "It speaks the common form already; it goes to "+to(s.To)+".", s.Type
		}
		if n := len(s.Losses); n > 0 {
			t.Note += fmt.Sprintf(", %d findings", n)
		}
	case contracts.StepReaddress:
		if s.Map == "" {
			return t, false
		}
		t.Text, t.Note = "Written as "+to(s.To)+" reads it: "+thing(s.Type)+".", note(s.Type, "map", s.Map)
	case contracts.StepSending:
		t.To, t.Text, t.Note = s.To, upper(thing(s.Type))+" is sent.", note(s.Type, s.Control)
		if s.Attempt > 1 {
			t.Text, t.Note = "Sent again, the same bytes under the same id.", note(s.Type, s.Control, fmt.Sprintf("attempt %d", s.Attempt))
		}
	case contracts.StepDelivered:
		t.From, t.Text, t.Note = s.To, to(s.To)+" has it and says so.", note(s.Answer, s.Control)
	case contracts.StepRetried:
		t.Text, t.Note = to(s.To)+" doesn't take it now; Silta keeps it and tries again.", note(s.Fault.Code, s.Answer, s.Control)
	case contracts.StepWaiting:
		t.Text, t.Note = "It waits: "+public(s.Fault), note(code(s.Fault), s.Control)
	case contracts.StepParked:
		t.Text, t.Note = "Parked for a person, other referrals flow on: "+public(s.Fault), note(code(s.Fault), place(s.Fault), s.Control)
	default:
		t.Text, t.Note = upper(s.Step)+".", note(s.Type, s.Control)
	}
	return t, true
}

func public(f *contracts.Fault) string {
	if f == nil {
		return "others of its referral go first."
	}
	return f.Public
}

func code(f *contracts.Fault) string {
	if f == nil {
		return ""
	}
	return f.Code
}

func place(f *contracts.Fault) string {
	if f == nil {
		return ""
	}
	return f.Place()
}

// thing words what a message is, by its type in either standard.
func thing(typ string) string {
	kind, event, _ := strings.Cut(typ, "^")
	switch {
	case typ == "request", kind == "REF" && event == "I12":
		return "a referral"
	case typ == "update", kind == "REF" && event == "I13":
		return "a change to a referral"
	case typ == "cancel", kind == "REF" && event == "I14":
		return "the cancellation of a referral"
	case typ == "status-query", kind == "REF" && event == "I15":
		return "a question about a referral"
	case typ == "response-accepted":
		return "the answer “accepted”"
	case typ == "response-returned":
		return "the answer “returned for completion”"
	case typ == "response-rejected":
		return "the answer “not indicated”"
	case strings.HasPrefix(typ, "response-"), kind == "RRI":
		return "the answer to the referral"
	case typ == "appointment", kind == "SIU":
		return "an appointment"
	case typ == "feedback", kind == "MDM", kind == "ORU":
		return "the feedback on the visit"
	}
	return "a message"
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// seenByApotti tells what reaches the referrer.
func (d *demo) seenByApotti(s apotti.Seen) {
	t := tale{At: s.At, From: "apotti", To: "apotti", Note: s.Type + " " + s.Control}
	switch thing(s.Type) {
	case "the answer to the referral":
		t.Text = map[string]string{
			"AA": "The referrer reads: the referral is accepted.",
			"AE": "The referrer reads: the referral comes back, something is missing.",
			"AR": "The referrer reads: specialist care is not indicated.",
		}[apotti.Field(s.Bytes, "MSA", 1)]
	case "an appointment":
		t.Text = "The referrer sees when the visit is."
	case "the feedback on the visit":
		t.Text = "The referrer has the feedback and can go on with the care."
	}
	if t.Text == "" {
		t.Text = "The referrer sees " + thing(s.Type) + "."
	}
	if s.Times > 1 {
		t.Text = "Apotti has this message already, and only acknowledges it again."
	}
	d.teller.tell(t)
}

// takenByHUS tells what reaches specialist care.
func (d *demo) takenByHUS(r hus.Received, status int) {
	t := tale{At: time.Now(), From: "hus", To: "hus", Text: upper(thing(r.Event)) + " is on the desk.", Note: "Bundle " + r.Control}
	switch {
	case status == 0:
		t.Text = "HUS has it, but its answer gets lost."
	case status == 409:
		t.Text, t.Note = "HUS has this message already.", "409 "+t.Note
	case status >= 300:
		t.Text, t.Note = "HUS doesn't take the message.", fmt.Sprint(status)
	}
	d.teller.tell(t)
}

// postedByHUS tells what the hub said to an answer that HUS has posted.
func (d *demo) postedByHUS(s hus.Sent) {
	if s.Accepted() {
		d.teller.tell(tale{At: time.Now(), To: "hus", Text: "Acknowledged: Silta has it on disk.", Note: fmt.Sprintf("%d %s", s.Status, s.Control)})
	} else {
		select {
		case d.unwelcome <- s:
		default:
		}
	}
	d.wake()
}
