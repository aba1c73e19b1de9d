package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoitosilta/silta/contracts"
)

func TestAnAnswerDecides(t *testing.T) {
	repeat, enhanced, rri := parcel("P1"), parcel("P1"), parcel("P1")
	repeat.Repeat = true
	enhanced.Body = contracts.NewBody([]byte(message("P1", "P|2.5.1|||AL|NE")))
	rri.Body = contracts.NewBody([]byte(message("P1") + "MSA|AA|R1\r"))
	for _, row := range []struct {
		name   string
		parcel contracts.Parcel
		answer func(net.Conn, string) bool
		want   string
		says   string // in the fault's text
	}{
		{"AA", parcel("P1"), say("AA"), "AA delivered", ""},
		{"CA to enhanced", enhanced, say("CA"), "CA delivered", ""},
		{"AA to enhanced", enhanced, say("AA"), "AA delivered", ""},
		{"AE", parcel("P1"), say("AE", "102"), "AE refused MLLP-020", "AE (ERR-3 102 at PID-3)"},
		{"AR", parcel("P1"), say("AR", "200"), "AR refused MLLP-020", "AR (ERR-3 200"},
		{"AE without a reason", parcel("P1"), say("AE"), "AE refused MLLP-020", "without an error code"},
		{"AE with many reasons", parcel("P1"), say("AE", "101", "102", "103", "101", "102", "103"), "AE refused MLLP-020", "and more"},
		{"an error code that isn't one", parcel("P1"), say("AE", "canary"), "AE refused MLLP-020", "ERR-3 207"},
		{"CE", enhanced, say("CE", "102"), "CE refused MLLP-020", "CE"},
		{"CR", enhanced, say("CR", "203"), "CR refused MLLP-020", "CR (ERR-3 203"},
		{"AR 205 to a repeat", repeat, say("AR", "205"), "AR delivered", ""},
		{"CR 205 to a repeat", repeat, say("CR", "205"), "CR delivered", ""},
		{"AR 205 to a first attempt", parcel("P1"), say("AR", "205"), "AR conflict MLLP-021", "205"},
		{"AE 205 is about content", repeat, say("AE", "205"), "AE refused MLLP-020", "205"},
		{"AR 200 to a repeat", repeat, say("AR", "200"), "AR refused MLLP-020", ""},
		{"another message's AA", parcel("P1"), send(framed(ack("AA", "P0"))), "unavailable MLLP-013 unknown", "another message"},
		{"an AA without MSA-2", parcel("P1"), send(framed(ack("AA", ""))), "unavailable MLLP-013 unknown", ""},
		{"an AA for a longer id", parcel("P1"), send(framed(ack("AA", "P11"))), "unavailable MLLP-013 unknown", ""},
		{"an unknown MSA-1", parcel("P1"), say("XX"), "unavailable MLLP-014 unknown", "no acknowledgement"},
		{"a message instead of an answer", parcel("P1"), send(framed(message("Q1"))), "unavailable MLLP-014 unknown", ""},
		{"a frame of rubbish", parcel("P1"), send(framed("rubbish")), "unavailable MLLP-014 unknown", ""},
		{"an empty frame", parcel("P1"), send(framed("")), "unavailable MLLP-014 unknown", ""},
		{"junk before the answer", parcel("P1"), send("junk" + framed(ack("AA", "P1"))), "AA delivered", ""},
		{"an answer without its carriage return", parcel("P1"), send("\x0b" + ack("AA", "P1") + "\x1c"), "AA delivered", ""},
		{"half an answer", parcel("P1"), func(c net.Conn, _ string) bool {
			_, _ = io.WriteString(c, "\x0bMSH|^~\\&|")
			return false
		}, "unavailable MLLP-012 unknown", "closed"},
		{"an answer without end", parcel("P1"), func(c net.Conn, _ string) bool {
			_, _ = io.WriteString(c, "\x0b"+strings.Repeat("x", maxAnswer+1))
			return false
		}, "unavailable MLLP-012 unknown", ""},
		{"the connection closes", parcel("P1"), hangUp, "unavailable MLLP-012 unknown", "closed the connection"},
		{"the connection closes after an RRI", rri, hangUp, "unavailable MLLP-012 unknown", "HAPI"},
		{"the connection is reset", parcel("P1"), reset, "unavailable MLLP-012 unknown", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPartner(t, row.answer)
			answer, err := courier(t, p.listener.Addr().String()).Deliver(t.Context(), row.parcel)
			if got := became(answer, err); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if err != nil && (!strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("the fault's text lacks %q, or has the partner's own words", row.says)
			}
			if calls, got := p.seen(); calls != 1 || len(got) != 1 || got[0] != string(row.parcel.Body.Bytes()) {
				t.Errorf("the partner saw %d connections and %d frames, want the parcel's bytes once", calls, len(got))
			}
		})
	}
}

// What a message asked for in MSH-15 and MSH-16 says which acknowledgement counts, and which may follow. Whatever may
// follow closes no connection: the next message goes by the same one.
func TestWhatAMessageAsksForDecides(t *testing.T) {
	for _, row := range []struct{ asks, says, accept, application string }{
		// CA counts where it was asked for; unasked it is only noted, whatever the contract takes for delivery.
		{"|", "CA AR", "AR refused MLLP-020", "AR refused MLLP-020"},
		{"|", "CA AA", "AA delivered", "AA delivered"},
		{"|", "CA CA AE", "AE refused MLLP-020", "AE refused MLLP-020"},
		{"NE|AL", "CA AR", "AR refused MLLP-020", "AR refused MLLP-020"},
		{"|AL", "CA AE", "AE refused MLLP-020", "AE refused MLLP-020"},
		{"ER|AL", "CA AA", "AA delivered", "AA delivered"},
		{"ER|SU", "CA AE", "AE refused MLLP-020", "AE refused MLLP-020"},
		{"SU|NE", "CA", "CA delivered", "CA delivered"},
		{"XX|", "CA", "CA delivered", "CA delivered"},
		// A refusal counts unasked.
		{"|", "CE", "CE refused MLLP-020", "CE refused MLLP-020"},
		{"NE|AL", "CR", "CR refused MLLP-020", "CR refused MLLP-020"},
		// An application that answers in any case may do so behind CA.
		{"AL|AL", "CA AE", "CA delivered", "AE refused MLLP-020"},
		{"AL|ER", "CA AE", "CA delivered", "CA delivered"},
		{"SU|ER", "CA AR", "CA delivered", "CA delivered"},
		{"AL|SU", "CA AA", "CA delivered", "AA delivered"},
		{"AL|SU", "CA AE", "CA delivered", "AE refused MLLP-020"},
		{"AL|XX", "CA AE", "CA delivered", "AE refused MLLP-020"},
		{"AL|NE", "CA", "CA delivered", "CA delivered"},
	} {
		for acknowledgement, want := range map[string]string{contracts.AckAccept: row.accept, contracts.AckApplication: row.application} {
			t.Run(row.asks+" "+row.says+" "+acknowledgement, func(t *testing.T) {
				p := newPartner(t, func(c net.Conn, body string) bool {
					for _, code := range strings.Fields(row.says) {
						_ = say(code, "102")(c, body)
					}
					return true
				}, say("AA"))
				c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Acknowledgement = acknowledgement })
				if got := became(c.Deliver(t.Context(), enhanced("P1", "P|2.5.1|||"+row.asks))); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "AA delivered" {
					t.Errorf("the next: %s", got)
				}
				if calls, _ := p.seen(); calls != 1 {
					t.Errorf("%d connections, want that what may follow disturbs none", calls)
				}
			})
		}
	}
}

// byPipe is a courier in a test's own time, whose connections are pipes that talk serves, the n-th with number n. done
// closes the courier and waits for all.
func byPipe(talk func(n int, c net.Conn)) (c *Courier, done func()) {
	return byPipeWith(contracts.MLLPCourier{To: "partner", Answer: 30 * time.Second}, talk)
}

func byPipeWith(settings contracts.MLLPCourier, talk func(n int, c net.Conn)) (c *Courier, done func()) {
	c, err := NewCourier(settings, time.Now, quiet())
	if err != nil {
		panic(err)
	}
	var talks sync.WaitGroup
	var dialled atomic.Int32 // connections are made side by side
	c.dial = func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		number := int(dialled.Add(1))
		talks.Go(func() { defer far.Close(); talk(number, far) })
		return near, nil
	}
	return c, func() { c.Close(); talks.Wait() }
}

// An answer that comes after its time must not be taken for the next message's: the connection is gone by then.
func TestALateAnswerMeetsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c, done := byPipe(func(n int, conn net.Conn) {
			connections = n
			r := NewReader(conn, Limits{})
			for {
				f, err := r.Next()
				if err != nil {
					return
				}
				if n == 1 {
					time.Sleep(31 * time.Second) // virtual time
				}
				_, _ = io.WriteString(conn, framed(ack("AA", control(string(f.Body)))))
			}
		})
		defer done()
		begun := time.Now()
		if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "unavailable MLLP-012 unknown" || time.Since(begun) != 30*time.Second {
			t.Errorf("the first: %s after %v", got, time.Since(begun))
		}
		if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "AA delivered" || connections != 2 {
			t.Errorf("the second: %s on connection %d, want delivered on a new one", got, connections)
		}
	})
}

// What lies in a connection unasked before a message leaves is not its answer, even if it says so.
func TestAnAnswerBeforeItsMessageIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, done := byPipe(func(n int, conn net.Conn) {
			r := NewReader(conn, Limits{})
			for {
				f, err := r.Next()
				switch {
				case err != nil:
					return
				case n == 1:
					_, _ = io.WriteString(conn, framed(ack("AA", "P1"), ack("AA", "P2")))
				default:
					_ = say("AE", "102")(conn, string(f.Body))
				}
			}
		})
		defer done()
		if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
			t.Fatalf("the first: %s", got)
		}
		synctest.Wait()
		if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "AE refused MLLP-020" {
			t.Errorf("the second: %s, want the answer of a new connection", got)
		}
	})
}

func TestAConnectionIsKept(t *testing.T) {
	p := newPartner(t)
	c := courier(t, p.listener.Addr().String())
	for _, id := range []string{"P1", "P2", "P3"} {
		if got := became(c.Deliver(t.Context(), parcel(id))); got != "AA delivered" {
			t.Fatalf("%s: %s", id, got)
		}
	}
	if calls, got := p.seen(); calls != 1 || len(got) != 3 {
		t.Errorf("%d frames on %d connections, want 3 on 1", len(got), calls)
	}
}

// After an answer that wasn't its own the connection is not used again.
func TestAConnectionThatAnsweredAmissIsLeft(t *testing.T) {
	p := newPartner(t, send(framed(ack("AA", "P0"))))
	c := courier(t, p.listener.Addr().String())
	first, second := became(c.Deliver(t.Context(), parcel("P1"))), became(c.Deliver(t.Context(), parcel("P2")))
	if calls, _ := p.seen(); first != "unavailable MLLP-013 unknown" || second != "AA delivered" || calls != 2 {
		t.Errorf("%s, then %s, on %d connections", first, second, calls)
	}
}

// A partner that closes while nothing is in flight loses nobody anything: a new connection is made.
func TestAConnectionThatClosedIsReplaced(t *testing.T) {
	p := newPartner(t, func(c net.Conn, body string) bool { return say("AA")(c, body) && false })
	c := courier(t, p.listener.Addr().String())
	if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
		t.Fatalf("the first: %s", got)
	}
	<-c.places[0].line.ended // until its end was noticed
	if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "AA delivered" {
		t.Errorf("the second: %s", got)
	}
}

// A panic, from which the hub recovers, costs one delivery and not the connection's place.
func TestAPanicDoesNotStopACourier(t *testing.T) {
	p := newPartner(t)
	c := courier(t, p.listener.Addr().String())
	c.now = func() time.Time { panic("a bug") }
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Deliver(t.Context(), parcel("P1"))
	}()
	c.now = time.Now
	if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "AA delivered" {
		t.Errorf("the next: %s", got)
	}
}

func TestNobodyListens(t *testing.T) {
	p := newPartner(t)
	p.listener.Close()
	answer, err := courier(t, p.listener.Addr().String()).Deliver(t.Context(), parcel("P1"))
	if got := became(answer, err); got != "unavailable MLLP-010" || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %s, want that nothing was sent", got)
	}
}

// In enhanced mode the application acknowledgement of an accepted message may come on the same connection, before
// the next one's accept acknowledgement or between messages. It decides nothing here.
func TestALaterApplicationAcknowledgementDisturbsNobody(t *testing.T) {
	tail := "P|2.5.1|||AL|AL"
	enhanced := func(id string) contracts.Parcel {
		p := parcel(id)
		p.Body = contracts.NewBody([]byte(message(id, tail)))
		return p
	}
	p := newPartner(t, say("CA"), func(c net.Conn, _ string) bool {
		_, _ = io.WriteString(c, framed(ack("AE", "P1", "102"), ack("CA", "P2")))
		return true
	}, say("CA"))
	c := courier(t, p.listener.Addr().String())
	for _, id := range []string{"P1", "P2", "P3"} {
		if got := became(c.Deliver(t.Context(), enhanced(id))); got != "CA delivered" {
			t.Errorf("%s: %s", id, got)
		}
	}
	if calls, _ := p.seen(); calls != 1 {
		t.Errorf("%d connections, want 1", calls)
	}
}

func TestReleaseTwoWaitsBehindTheCommit(t *testing.T) {
	p := newPartner(t,
		func(c net.Conn, body string) bool {
			_, _ = io.WriteString(c, framed("\x06"))
			return say("AA")(c, body)
		},
		silence, // our commit acknowledgement
		send(framed("\x15")))
	c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Release = 2 })
	if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
		t.Errorf("the first: %s", got)
	}
	if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "NAK unavailable MLLP-015" {
		t.Errorf("the second: %s", got)
	}
	_, got := p.seen()
	if diff := cmp.Diff([]string{message("P1"), "\x06", message("P2")}, got); diff != "" {
		t.Errorf("the partner saw other frames than the two messages and a commit between them (%d)", len(got))
	}
}

// A commit acknowledgement speaks of the block that left longest ago. One that comes late is never taken for the message
// in flight, and one that nobody waits for ends the connection.
func TestACommitIsItsOwnBlocks(t *testing.T) {
	both := func(before, after string) func(net.Conn, string) bool {
		return func(c net.Conn, body string) bool {
			_, _ = io.WriteString(c, before)
			_ = say("AA")(c, body)
			_, _ = io.WriteString(c, after)
			return true
		}
	}
	late := func(stream string) func(net.Conn, string) bool { // with the next message, before its answer
		return func(c net.Conn, body string) bool {
			_, _ = io.WriteString(c, stream)
			return say("AA")(c, body)
		}
	}
	ack, nak := framed("\x06"), framed("\x15")
	for _, row := range []struct {
		name   string
		first  func(net.Conn, string) bool
		second func(net.Conn, string) bool
		want   string // of the second
	}{
		{"each its own", both(ack, ""), both(ack, ""), "AA delivered"},
		{"none at all", both("", ""), both("", ""), "AA delivered"},
		{"the first's comes late", both("", ""), late(ack + ack), "AA delivered"},
		{"the first's refusal comes late", both("", ""), late(nak), "unavailable MLLP-013 unknown"},
		{"a refusal too many", both(ack, ""), late(ack + nak), "unavailable MLLP-013 unknown"},
		{"a commit too many", both(ack, ""), late(ack + ack), "unavailable MLLP-013 unknown"},
		{"its own refusal", both(ack, ""), send(nak), "NAK unavailable MLLP-015"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPartner(t, row.first, silence, row.second, silence)
			c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Release = 2 })
			if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
				t.Fatalf("the first: %s", got)
			}
			if got := became(c.Deliver(t.Context(), parcel("P2"))); got != row.want {
				t.Errorf("the second: %s, want %s", got, row.want)
			}
		})
	}
}

// In release 2 a partner commits our answers, too; that says nothing of a message.
func TestACommitOfAnAnswerIsNobodys(t *testing.T) {
	p := newPartner(t, func(c net.Conn, _ string) bool {
		_, _ = io.WriteString(c, framed("\x06", asks("AA", "P1")))
		return true
	}, silence, send(framed("\x15")), func(c net.Conn, body string) bool {
		_, _ = io.WriteString(c, framed("\x06"))
		return say("AA")(c, body)
	}, silence)
	c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Release = 2 })
	for _, id := range []string{"P1", "P2"} {
		if got := became(c.Deliver(t.Context(), parcel(id))); got != "AA delivered" {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// A message is delivered when its AA has come, however long the partner takes to read what answers that.
func TestAnAnswerIsToldBeforeItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		c, done := byPipe(func(_ int, conn net.Conn) {
			for _, id := range read(NewReader(conn, Limits{}), 1) {
				_, _ = io.WriteString(conn, framed(asks("AA", id)))
			}
			<-enough
		})
		defer done()
		defer close(enough)
		if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "AA delivered" {
			t.Errorf("got %s, want that the answer counts", got)
		}
	})
}

func TestWhatCantBeDeliveredDoesNotLeave(t *testing.T) {
	for name, row := range map[string]struct{ body, want string }{
		"no acknowledgement asked": {message("P1", "P|2.5.1|||NE|NE"), "invalid MLLP-023"},
		"a framing byte":           {message("P1") + "OBX|1|TX|||a\x1cb\r", "invalid MLLP-022"},
		"another control id":       {message("P2"), "internal "},
		"no message":               {"rubbish", "malformed HL7-001"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartner(t)
			parcel := parcel("P1")
			parcel.Body = contracts.NewBody([]byte(row.body))
			got := became(courier(t, p.listener.Addr().String()).Deliver(t.Context(), parcel))
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if _, frames := p.seen(); len(frames) != 0 {
				t.Errorf("%d frames left", len(frames))
			}
		})
	}
}

// Several lanes deliver at once; a connection has one message in flight, and each gets its own answer.
func TestLanesShareConnections(t *testing.T) {
	for _, connections := range []int{1, 3} {
		p := newPartner(t)
		c := courier(t, p.listener.Addr().String(), func(s *contracts.MLLPCourier) { s.Connections = connections })
		var lanes sync.WaitGroup
		for n := range 20 {
			lanes.Go(func() {
				id := "P" + string(rune('A'+n))
				if got := became(c.Deliver(t.Context(), parcel(id))); got != "AA delivered" {
					t.Errorf("%s: %s", id, got)
				}
			})
		}
		lanes.Wait()
		if calls, got := p.seen(); calls > connections || len(got) != 20 {
			t.Errorf("%d frames on %d connections, want 20 on at most %d", len(got), calls, connections)
		}
	}
}

// A hub that stops while an answer is due doesn't know the outcome; one that never got a connection does.
func TestStoppingWhileAnAnswerIsDue(t *testing.T) {
	arrived := make(chan struct{})
	p := newPartner(t, func(net.Conn, string) bool { close(arrived); return true })
	c := courier(t, p.listener.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan string, 1)
	go func() { first <- became(c.Deliver(ctx, parcel("P1"))) }()
	<-arrived
	second, giveUp := context.WithCancel(t.Context())
	giveUp()
	if got := became(c.Deliver(second, parcel("P2"))); got != "unavailable MLLP-016" {
		t.Errorf("the one that waits for a connection: %s", got)
	}
	cancel()
	if got := <-first; got != "unavailable MLLP-016 unknown" {
		t.Errorf("the one in flight: %s", got)
	}
}

func TestACourierThatIsClosedSendsNoMore(t *testing.T) {
	arrived := make(chan struct{})
	p := newPartner(t, func(net.Conn, string) bool { close(arrived); return true })
	c := courier(t, p.listener.Addr().String())
	first := make(chan string, 1)
	go func() { first <- became(c.Deliver(t.Context(), parcel("P1"))) }()
	<-arrived
	c.Close()
	c.Close()
	if got := <-first; got != "unavailable MLLP-016 unknown" {
		t.Errorf("the one in flight: %s", got)
	}
	if got := became(c.Deliver(t.Context(), parcel("P2"))); got != "unavailable MLLP-016" {
		t.Errorf("a later one: %s", got)
	}
}

// A partner that takes no bytes is given up in time, and what left of the message is unknown.
func TestAPartnerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		c, done := byPipe(func(_ int, conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, 10))
			<-enough
		})
		defer done()
		defer close(enough)
		begun := time.Now()
		if got := became(c.Deliver(t.Context(), parcel("P1"))); got != "unavailable MLLP-011 unknown" || time.Since(begun) != 30*time.Second {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
	})
}

// The times of writing and of answering are each their own.
func TestWritingHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		settings := contracts.MLLPCourier{To: "partner", Write: 3 * time.Second, Answer: 30 * time.Second}
		c, done := byPipeWith(settings, func(n int, conn net.Conn) {
			if n == 1 {
				<-enough // takes nothing
				return
			}
			read(NewReader(conn, Limits{}), 1)
			<-enough // takes the message, and is silent
		})
		defer done()
		defer close(enough)
		for _, row := range []struct {
			want  string
			after time.Duration
		}{{"unavailable MLLP-011", 3 * time.Second}, {"unavailable MLLP-012 unknown", 30 * time.Second}} {
			begun := time.Now()
			if got := became(c.Deliver(t.Context(), parcel("P1"))); got != row.want || time.Since(begun) != row.after {
				t.Errorf("%s after %v, want %s after %v", got, time.Since(begun), row.want, row.after)
			}
		}
	})
}

// A connection that is silent for its time is closed, and made anew before the next message; a message in flight is no
// silence, and without a time the connection is kept.
func TestASilentLineIsClosed(t *testing.T) {
	for name, row := range map[string]struct {
		idle        time.Duration
		connections int
	}{"closed": {time.Minute, 2}, "kept": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended time.Duration
				connections := 0
				settings := contracts.MLLPCourier{To: "partner", Answer: 10 * time.Minute, Idle: row.idle}
				c, done := byPipeWith(settings, func(n int, conn net.Conn) {
					connections = n
					for r, last := NewReader(conn, Limits{}), time.Now(); ; last = time.Now() {
						got := read(r, 1)
						if len(got) == 0 {
							ended = time.Since(last)
							return
						}
						time.Sleep(5 * time.Minute) // virtual time
						_, _ = io.WriteString(conn, framed(ack("AA", got[0])))
					}
				})
				for _, id := range []string{"P1", "P2"} {
					if got := became(c.Deliver(t.Context(), parcel(id))); got != "AA delivered" {
						t.Errorf("%s: %s", id, got)
					}
				}
				time.Sleep(time.Hour) // virtual time
				synctest.Wait()
				if row.idle > 0 && ended != row.idle || row.idle == 0 && ended != 0 {
					t.Errorf("closed after %v of silence, want %v", ended, row.idle)
				}
				if got := became(c.Deliver(t.Context(), parcel("P3"))); got != "AA delivered" || connections != row.connections {
					t.Errorf("the next: %s on connection %d, want %d", got, connections, row.connections)
				}
				done()
			})
		})
	}
}

// The courier and the door understand each other.
func TestACourierMeetsADoor(t *testing.T) {
	for _, release := range []int{1, 2} {
		r := &desk{}
		d := open(t, r, contracts.MLLPDoor{Release: release})
		c := courier(t, d.Addr().String(), func(s *contracts.MLLPCourier) { s.Release = release })
		for _, id := range []string{"P1", "P2"} {
			if got := became(c.Deliver(t.Context(), parcel(id))); got != "AA delivered" {
				t.Errorf("release %d: %s: %s", release, id, got)
			}
		}
		if n := len(r.arrivals()); n != 2 {
			t.Errorf("release %d: %d messages came, want 2", release, n)
		}
	}
}
