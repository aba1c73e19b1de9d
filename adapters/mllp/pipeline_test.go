package mllp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func pipelined(n int) contracts.MLLPCourier {
	return contracts.MLLPCourier{To: "partner", Answer: 30 * time.Second, Pipeline: n}
}

// ids gives P1 to Pn.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("P%d", i+1)
	}
	return list
}

// deliverAll delivers messages at once, and gives what became of each.
func deliverAll(ctx context.Context, c *Courier, ids []string) []string {
	outcomes := make([]string, len(ids))
	var lanes sync.WaitGroup
	for i, id := range ids {
		lanes.Go(func() { outcomes[i] = became(c.Deliver(ctx, parcel(id))) })
	}
	lanes.Wait()
	return outcomes
}

func times(n int, text string) []string { return slices.Repeat([]string{text}, n) }

// read gives the control ids of the next n frames; fewer if the connection ends before.
func read(r *Reader, n int) (ids []string) {
	for range n {
		f, err := r.Next()
		if err != nil {
			return ids
		}
		ids = append(ids, control(string(f.Body)))
	}
	return ids
}

// Without pipelining a message leaves when the one before is answered.
func TestPipeliningIsOffByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, done := byPipeWith(contracts.MLLPCourier{To: "partner"}, func(_ int, conn net.Conn) {
			r := NewReader(conn, Limits{Idle: time.Second})
			for i := 1; i <= 3; i++ {
				got := read(r, 1)
				if more := read(NewReader(conn, Limits{Idle: time.Second}), 1); len(more) > 0 {
					t.Errorf("%d messages came before the first was answered", 1+len(more))
				}
				_ = conn.SetDeadline(time.Time{})
				_, _ = io.WriteString(conn, framed(ack("AA", got[0])))
			}
		})
		defer done()
		if diff := cmp.Diff(times(3, "AA delivered"), deliverAll(t.Context(), c, ids(3))); diff != "" {
			t.Error(diff)
		}
	})
}

// Pipelined messages may be answered in any order, as a server built on HAPI does.
func TestPipelinedAnswersMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c, done := byPipeWith(pipelined(4), func(n int, conn net.Conn) {
			connections = n
			got := read(NewReader(conn, Limits{}), 4)
			for i := len(got) - 1; i >= 0; i-- {
				code := "AA"
				if got[i] == "P3" {
					code = "AE"
				}
				_, _ = io.WriteString(conn, framed(ack(code, got[i], "102")))
			}
			_, _ = io.Copy(io.Discard, conn)
		})
		defer done()
		want := []string{"AA delivered", "AA delivered", "AE refused MLLP-020", "AA delivered"}
		if diff := cmp.Diff(want, deliverAll(t.Context(), c, ids(4))); diff != "" || connections != 1 {
			t.Errorf("on %d connections: %s", connections, diff)
		}
	})
}

// What goes wrong on a connection ends all that is in flight on it; what was answered before stays answered, and the
// next message gets a new connection.
func TestWhatGoesWrongEndsAllInFlight(t *testing.T) {
	for name, row := range map[string]struct {
		act  func(net.Conn)
		want string
	}{
		"a foreign acknowledgement": {func(c net.Conn) { _, _ = io.WriteString(c, framed(ack("AA", "P0"))) }, "unavailable MLLP-013 unknown"},
		"one that was answered":     {func(c net.Conn) { _, _ = io.WriteString(c, framed(ack("AA", "P1"))) }, "unavailable MLLP-013 unknown"},
		"no acknowledgement":        {func(c net.Conn) { _, _ = io.WriteString(c, framed("rubbish")) }, "unavailable MLLP-014 unknown"},
		"an end":                    {func(c net.Conn) { c.Close() }, "unavailable MLLP-012 unknown"},
		"silence":                   {func(net.Conn) {}, "unavailable MLLP-012 unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, done := byPipeWith(pipelined(3), func(n int, conn net.Conn) {
					r := NewReader(conn, Limits{})
					if n == 1 {
						read(r, 3)
						_, _ = io.WriteString(conn, framed(ack("AA", "P1")))
						row.act(conn)
					}
					for _, id := range read(r, 1) {
						_, _ = io.WriteString(conn, framed(ack("AA", id)))
					}
				})
				defer done()
				want := []string{"AA delivered", row.want, row.want}
				if diff := cmp.Diff(want, deliverAll(t.Context(), c, ids(3))); diff != "" {
					t.Error(diff)
				}
				if got := became(c.Deliver(t.Context(), parcel("P4"))); got != "AA delivered" {
					t.Errorf("the next: %s", got)
				}
			})
		})
	}
}

// Two messages under one control id are the sender's mistake. Both get an answer, and nobody waits for ever.
func TestOneControlIDTwiceInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, done := byPipeWith(pipelined(2), func(_ int, conn net.Conn) {
			for _, id := range read(NewReader(conn, Limits{}), 2) {
				_, _ = io.WriteString(conn, framed(ack("AA", id)))
			}
			_, _ = io.Copy(io.Discard, conn)
		})
		defer done()
		if diff := cmp.Diff(times(2, "AA delivered"), deliverAll(t.Context(), c, []string{"P1", "P1"})); diff != "" {
			t.Error(diff)
		}
	})
}

// Release 2 is synchronous: one message is in flight on a connection.
func TestReleaseTwoIsNotPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := pipelined(5)
		settings.Release = 2
		c, done := byPipeWith(settings, func(_ int, conn net.Conn) {
			r := NewReader(conn, Limits{})
			for {
				f, err := r.Next()
				if err != nil {
					return
				}
				if _, is := f.commit(); !is {
					_, _ = io.WriteString(conn, framed("\x15"))
				}
			}
		})
		defer done()
		if diff := cmp.Diff(times(4, "NAK unavailable MLLP-015"), deliverAll(t.Context(), c, ids(4))); diff != "" {
			t.Error(diff)
		}
	})
}

// A pipelining courier and a door in earnest.
func TestAPipeliningCourierMeetsADoor(t *testing.T) {
	r := &desk{}
	d := open(t, r, contracts.MLLPDoor{})
	c := courier(t, d.Addr().String(), func(s *contracts.MLLPCourier) { s.Pipeline, s.Connections = 8, 2 })
	if diff := cmp.Diff(times(100, "AA delivered"), deliverAll(t.Context(), c, ids(100))); diff != "" || len(r.arrivals()) != 100 {
		t.Errorf("%d arrived: %s", len(r.arrivals()), diff)
	}
}

// enhanced is a parcel that asks for both acknowledgements, or for what tail says.
func enhanced(id string, tail ...string) contracts.Parcel {
	p := parcel(id)
	if tail == nil {
		tail = []string{"P|2.5.1|||AL|AL"}
	}
	p.Body = contracts.NewBody([]byte(message(id, tail...)))
	return p
}

// asks is an application acknowledgement that asks for an accept acknowledgement itself.
func asks(code, id string) string {
	return strings.Replace(ack(code, id), "|P|2.5.1\r", "|P|2.5.1|||AL\r", 1)
}

func TestTheApplicationsAcknowledgementDecides(t *testing.T) {
	steps := func(frames ...string) func(net.Conn) {
		return func(c net.Conn) {
			for _, f := range frames {
				_, _ = io.WriteString(c, framed(f))
			}
		}
	}
	for _, row := range []struct {
		name   string
		parcel contracts.Parcel
		act    func(net.Conn)
		want   string
		after  time.Duration
	}{
		{"CA, then AA", enhanced("P1"), steps(ack("CA", "P1"), ack("AA", "P1")), "AA delivered", 0},
		{"CA, then AE", enhanced("P1"), steps(ack("CA", "P1"), ack("AE", "P1", "102")), "AE refused MLLP-020", 0},
		{"CA, then AR 205", enhanced("P1"), steps(ack("CA", "P1"), ack("AR", "P1", "205")), "AR conflict MLLP-021", 0},
		{"AA before its CA", enhanced("P1"), steps(ack("AA", "P1"), ack("CA", "P1")), "AA delivered", 0},
		{"CA twice, then AA", enhanced("P1"), steps(ack("CA", "P1"), ack("CA", "P1"), ack("AA", "P1")), "AA delivered", 0},
		{"CE", enhanced("P1"), steps(ack("CE", "P1", "102")), "CE refused MLLP-020", 0},
		{"CR", enhanced("P1"), steps(ack("CR", "P1", "200")), "CR refused MLLP-020", 0},
		{"CA, then silence", enhanced("P1"), steps(ack("CA", "P1")), "CA unavailable MLLP-018 unknown", 30 * time.Second},
		{"CA late, then AA late", enhanced("P1"), func(c net.Conn) {
			time.Sleep(29 * time.Second) // virtual time
			steps(ack("CA", "P1"))(c)
			time.Sleep(29 * time.Second) // virtual time
			steps(ack("AA", "P1"))(c)
		}, "AA delivered", 58 * time.Second},
		{"silence", enhanced("P1"), func(net.Conn) {}, "unavailable MLLP-012 unknown", 30 * time.Second},
		{"CA, then an end", enhanced("P1"), func(c net.Conn) { steps(ack("CA", "P1"))(c); c.Close() }, "CA unavailable MLLP-018 unknown", 30 * time.Second},
		{"CA, then another message's AA", enhanced("P1"), steps(ack("CA", "P1"), ack("AA", "P0")), "CA unavailable MLLP-018 unknown", 30 * time.Second},
		{"only CA asked", enhanced("P1", "P|2.5.1|||AL|NE"), steps(ack("CA", "P1")), "CA delivered", 0},
		{"only errors asked of the application", enhanced("P1", "P|2.5.1|||AL|ER"), steps(ack("CA", "P1")), "CA delivered", 0},
		{"only AA asked", enhanced("P1", "P|2.5.1|||NE|AL"), steps(ack("AA", "P1")), "AA delivered", 0},
		{"original mode", parcel("P1"), steps(ack("AA", "P1")), "AA delivered", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				settings := pipelined(1)
				settings.Acknowledgement = contracts.AckApplication
				c, done := byPipeWith(settings, func(_ int, conn net.Conn) {
					read(NewReader(conn, Limits{}), 1)
					row.act(conn)
					_, _ = io.Copy(io.Discard, conn)
				})
				defer done()
				begun := time.Now()
				answer, err := c.Deliver(t.Context(), row.parcel)
				if got := became(answer, err); got != row.want || time.Since(begun) != row.after {
					t.Errorf("got %s after %v, want %s after %v", got, time.Since(begun), row.want, row.after)
				}
				if strings.Contains(row.want, CodeNotApplied) && !strings.Contains(err.Error(), "has the message") {
					t.Errorf("the text doesn't say that the partner has it: %v", err)
				}
			})
		})
	}
}

// An application acknowledgement that asks for an accept acknowledgement gets it, on the connection and at the door.
func TestAnApplicationAcknowledgementIsAccepted(t *testing.T) {
	p := newPartner(t,
		func(c net.Conn, body string) bool {
			_, _ = io.WriteString(c, framed(ack("CA", "P1"), asks("AA", "P1")))
			return true
		}, silence)
	c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Acknowledgement = contracts.AckApplication })
	if got := became(c.Deliver(t.Context(), enhanced("P1"))); got != "AA delivered" {
		t.Fatalf("got %s", got)
	}
	c.Close()
	p.close() // when all that came is read
	if _, got := p.seen(); len(got) != 2 || said([]byte(got[1])) != "CA KP1" {
		t.Errorf("the partner got %d frames, want its acknowledgement accepted", len(got))
	}
}

// The application's acknowledgement may come through the partner's door, whatever became of the courier's connection.
// The door gives it to the receiver as it does any message, and accepts it if it asks for that and somebody waits for it,
// even where the receiver refuses its type.
func TestAnApplicationAcknowledgementComesThroughTheDoor(t *testing.T) {
	refuses := refusal(contracts.Refused, "HUB-013", "MSH-9.1", "200")
	for name, row := range map[string]struct {
		first   func(net.Conn, string) bool
		respond func(int, contracts.Arrival) (contracts.Receipt, error)
		release int
		ack     string
		answer  []string
	}{
		"the connection stays":               {say("CA"), nil, 1, asks("AA", "P1"), []string{"CA KP1"}},
		"the connection closes":              {func(c net.Conn, b string) bool { return say("CA")(c, b) && false }, nil, 1, asks("AA", "P1"), []string{"CA KP1"}},
		"the receiver refuses it":            {say("CA"), refuses, 1, asks("AA", "P1"), []string{"CA KP1"}},
		"it asks for nothing":                {say("CA"), refuses, 1, ack("AA", "P1"), nil},
		"release 2":                          {say("CA"), refuses, 2, asks("AA", "P1"), []string{`"\x06"`, "CA KP1"}},
		"release 2, and it asks for nothing": {say("CA"), nil, 2, ack("AA", "P1"), []string{`"\x06"`}},
	} {
		t.Run(name, func(t *testing.T) {
			var log spoken
			p := newPartner(t, row.first)
			c, err := NewCourier(contracts.MLLPCourier{To: p.listener.Addr().String(), Acknowledgement: contracts.AckApplication}, time.Now, log.log())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r := &desk{respond: row.respond}
			d := open(t, r, contracts.MLLPDoor{Release: row.release}, WithAcknowledgements(c.Offer))
			first := make(chan string)
			go func() { first <- became(c.Deliver(t.Context(), enhanced("P1"))) }()
			awaitLog(t, &log, "the application's acknowledgement is awaited")
			back := talk(t, d, framed(row.ack))
			if diff := cmp.Diff(row.answer, answers(t, back)); diff != "" {
				t.Errorf("the door's answers (-want +got):\n%s", diff)
			}
			kept := r.arrivals()
			if got := <-first; got != "AA delivered" || len(kept) != 1 || string(kept[0].Body.Bytes()) != row.ack {
				t.Errorf("got %s, %d arrivals; want it with the receiver, and delivered", got, len(kept))
			}
			if c.Offer(hl7v2.Acknowledgement{Code: "AA", ControlID: "P1"}) {
				t.Error("it was taken again")
			}
		})
	}
}

// An acknowledgement that nobody waits for is the receiver's alone; one that can't be kept is offered to nobody and not
// answered.
func TestAnAcknowledgementIsKeptBeforeItIsTaken(t *testing.T) {
	full := func(int, contracts.Arrival) (contracts.Receipt, error) {
		return contracts.Receipt{}, errors.New("disk full")
	}
	for name, row := range map[string]struct {
		respond func(int, contracts.Arrival) (contracts.Receipt, error)
		takes   bool
		offered int
	}{
		"nobody waits":  {nil, false, 1},
		"it isn't kept": {full, true, 0},
	} {
		for _, release := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, release %d", name, release), func(t *testing.T) {
				r, offered := &desk{respond: row.respond}, 0
				d := open(t, r, contracts.MLLPDoor{Release: release}, WithAcknowledgements(func(hl7v2.Acknowledgement) bool {
					if offered++; len(r.arrivals()) == 0 {
						t.Error("it was offered before the receiver had it")
					}
					return row.takes
				}))
				want := ""
				if release == 2 && row.respond == nil {
					want = framed("\x06")
				}
				if back := exchange(t, d, framed(asks("AA", "P1"))); back != want || len(r.arrivals()) != 1 || offered != row.offered {
					t.Errorf("%d bytes back, %d arrivals, offered %d times", len(back), len(r.arrivals()), offered)
				}
			})
		}
	}
}

// Only the application's acknowledgement of a message that waits for it is taken.
func TestWhatIsOfferedIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := pipelined(2)
		settings.Acknowledgement = contracts.AckApplication
		c, done := byPipeWith(settings, func(_ int, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		defer done()
		waiting := make(chan string, 2)
		go func() { waiting <- became(c.Deliver(t.Context(), enhanced("P1"))) }()
		go func() { waiting <- became(c.Deliver(t.Context(), parcel("P2"))) }()
		synctest.Wait()
		for _, a := range []hl7v2.Acknowledgement{{Code: "CA", ControlID: "P1"}, {Code: "AA", ControlID: "P"}, {Code: "AA", ControlID: "P2"}, {}} {
			if c.Offer(a) {
				t.Errorf("%s for %q was taken", a.Code, a.ControlID)
			}
		}
		if !c.Offer(hl7v2.Acknowledgement{Code: "AA", ControlID: "P1"}) || c.Offer(hl7v2.Acknowledgement{Code: "AE", ControlID: "P1"}) {
			t.Error("the one that is waited for must be taken, and once")
		}
		if got := <-waiting; got != "AA delivered" {
			t.Errorf("got %s", got)
		}
		if got := <-waiting; got != "unavailable MLLP-012 unknown" {
			t.Errorf("the other: %s", got)
		}
	})
}

// A refusal by the application after CA decides nothing where CA does, but somebody should know.
func TestALateRefusalIsLogged(t *testing.T) {
	for _, row := range []struct{ asks, acknowledgement string }{
		{"AL|AL", contracts.AckAccept}, {"AL|ER", contracts.AckAccept}, {"AL|ER", contracts.AckApplication}, {"SU|SU", contracts.AckAccept},
	} {
		t.Run(row.asks+" "+row.acknowledgement, func(t *testing.T) { lateRefusal(t, row.asks, row.acknowledgement) })
	}
}

func lateRefusal(t *testing.T, asks, acknowledgement string) {
	var log spoken
	p := newPartner(t, func(c net.Conn, _ string) bool {
		_, _ = io.WriteString(c, framed(ack("CA", "P1"), ack("AE", "P1", "102")))
		return true
	}, say("CA"))
	c, err := NewCourier(contracts.MLLPCourier{To: p.listener.Addr().String(), Acknowledgement: acknowledgement}, time.Now, log.log())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, id := range []string{"P1", "P2"} {
		if got := became(c.Deliver(t.Context(), enhanced(id, "P|2.5.1|||"+asks))); got != "CA delivered" {
			t.Errorf("%s: %s", id, got)
		}
	}
	awaitLog(t, &log, "refused a message after all")
	for _, want := range []string{"level=warning", "control=P1", "answer=AE", "ERR-3 102"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if calls, _ := p.seen(); calls != 1 || strings.Contains(log.String(), "canary") {
		t.Errorf("%d connections, want 1; the partner's text must not be in the log", calls)
	}
}

// A courier that couldn't connect waits longer each time, at most five seconds, until it can again.
func TestReconnectingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, done := byPipeWith(pipelined(1), func(_ int, conn net.Conn) {
			for _, id := range read(NewReader(conn, Limits{}), 1) {
				_, _ = io.WriteString(conn, framed(ack("AA", id)))
			}
		})
		defer done()
		up := c.dial
		down := func(context.Context, string) (net.Conn, error) { return nil, io.ErrClosedPipe }
		attempt := func() (string, time.Duration) {
			begun := time.Now()
			return became(c.Deliver(t.Context(), parcel("P1"))), time.Since(begun)
		}
		for range 2 {
			c.dial = down
			limit, total := time.Duration(0), time.Duration(0)
			for n := range 20 {
				got, took := attempt()
				if got != "unavailable MLLP-010" || took > limit {
					t.Errorf("attempt %d: %s after %v, want at most %v", n+1, got, took, limit)
				}
				total += took
				limit = min(max(2*limit, 100*time.Millisecond), 5*time.Second)
			}
			if total < time.Second {
				t.Errorf("20 attempts waited %v in all", total)
			}
			c.dial = up
			if got, took := attempt(); got != "AA delivered" || took > 5*time.Second {
				t.Errorf("when it can: %s after %v", got, took)
			}
			synctest.Wait() // the connection's end is noticed
			if got, took := attempt(); got != "AA delivered" || took != 0 {
				t.Errorf("behind a success: %s after %v, want at once", got, took)
			}
			synctest.Wait()
		}
	})
}

// The wait before a new attempt ends with its context and with the courier.
func TestAWaitForANewAttemptEnds(t *testing.T) {
	for name, end := range map[string]func(c *Courier, cancel func()){
		"with its context": func(_ *Courier, cancel func()) { cancel() },
		"with the courier": func(c *Courier, _ func()) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewCourier(pipelined(1), time.Now, quiet())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.dial = func(context.Context, string) (net.Conn, error) { return nil, io.ErrClosedPipe }
				c.pauses.RandomizationFactor = 0.01 // so that each wait is one
				for range 10 {
					_, _ = c.Deliver(t.Context(), parcel("P1"))
				}
				ctx, cancel := context.WithCancel(t.Context())
				begun := time.Now()
				got := make(chan string)
				go func() { got <- became(c.Deliver(ctx, parcel("P1"))) }()
				synctest.Wait()
				end(c, cancel)
				if outcome := <-got; outcome != "unavailable MLLP-010" || time.Since(begun) != 0 {
					t.Errorf("%s after %v", outcome, time.Since(begun))
				}
				cancel()
			})
		})
	}
}

// keeper is a Receiver that keeps what comes, or can't.
type keeper struct {
	fault error
	came  chan contracts.Arrival
}

func (k keeper) Receive(_ context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	k.came <- a
	return contracts.Receipt{}, k.fault
}

// A refusal that comes after CA is handed on as it came; where that fails it isn't answered, and the connection ends, so
// that a partner which keeps what isn't answered says it again.
func TestALateRefusalIsHandedOn(t *testing.T) {
	refusal := strings.Replace(ack("AE", "P1", "102"), "|P|2.5.1", "|P|2.5.1|||AL", 1) // it asks for an acknowledgement itself
	for name, row := range map[string]struct {
		fault    error
		answered bool
	}{"kept": {nil, true}, "not kept": {contracts.Faultf(contracts.Unavailable, "T-1", "", "full"), false}} {
		t.Run(name, func(t *testing.T) {
			answers := make(chan string, 1)
			p := newPartner(t, func(c net.Conn, _ string) bool {
				_, _ = io.WriteString(c, framed(ack("CA", "P1"), refusal))
				f, err := NewReader(c, Limits{}).Next()
				if err != nil {
					close(answers)
					return false
				}
				answers <- string(f.Body)
				return true
			})
			k := keeper{row.fault, make(chan contracts.Arrival, 1)}
			c := courier(t, p.listener.Addr().String())
			c.Forward("his", k)
			if got := became(c.Deliver(t.Context(), enhanced("P1", "P|2.5.1|||AL|AL"))); got != "CA delivered" {
				t.Fatal(got)
			}
			if a := <-k.came; a.Partner != "his" || a.Format != contracts.FormatV2 || string(a.Body.Bytes()) != refusal {
				t.Error("the refusal wasn't handed on as it came")
			}
			if answer, answered := <-answers; answered != row.answered || answered && !strings.Contains(answer, "MSA|CA|") {
				t.Errorf("the refusal was answered: %v, want %v", answered, row.answered)
			}
		})
	}
}
