package mllp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoitosilta/silta/contracts"
)

// accepts says whether a connection takes a message and answers it.
func accepts(c net.Conn, id string) bool {
	if _, err := io.WriteString(c, framed(message(id))); err != nil {
		return false
	}
	f, err := NewReader(c, Limits{}).Next()
	return err == nil && said(f.Body) == "AA "+id
}

// A full door closes the connection that was silent longest, so that those which were left behind lock nobody out.
func TestAFullDoorMakesRoom(t *testing.T) {
	var log spoken
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		d, err := NewDoor(p, "lab", contracts.MLLPDoor{Connections: 3}, &desk{}, time.Now, log.log())
		if err != nil {
			t.Fatal(err)
		}
		serve(t, d)
		var held []net.Conn
		for i := range 3 {
			c := p.call()
			defer c.Close()
			if !accepts(c, fmt.Sprintf("A%d", i)) {
				t.Fatalf("connection %d isn't served", i)
			}
			held = append(held, c)
			time.Sleep(time.Second) // virtual time
		}
		if !accepts(held[0], "A4") { // now the second is silent longest, for two seconds
			t.Fatal("the first isn't served")
		}
		early := p.call()
		if after, _ := closedAfter(early); after != 0 {
			t.Errorf("a fourth was closed after %v, want at once: all have been at work lately", after)
		}
		time.Sleep(silentEnough) // virtual time
		late := p.call()
		defer late.Close()
		if !accepts(late, "A5") {
			t.Error("a fourth isn't served, though others are silent")
		}
		if after, _ := closedAfter(held[1]); after != 0 {
			t.Errorf("the one that was silent longest was closed after %v, want at once", after)
		}
		for i, c := range []net.Conn{held[0], held[2], late} {
			if !accepts(c, fmt.Sprintf("B%d", i)) {
				t.Errorf("connection %d was closed, too", i)
			}
		}
	})
	if !strings.Contains(log.String(), "silent longest") {
		t.Error("the log doesn't tell that room was made")
	}
}

// A connection that makes room at the moment when a frame begins is known until it has ended: a door that stops doesn't
// wait for it beyond its bound.
func TestAConnectionThatMakesRoomIsStillCutOff(t *testing.T) {
	const bound = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &desk{respond: func(_ int, a contracts.Arrival) (contracts.Receipt, error) {
			<-release
			return accepted(a), nil
		}}
		p := newPipes()
		d := newDoor(t, p, r, contracts.MLLPDoor{Connections: 1}, WithDrain(bound))
		stop := serve(t, d)
		held := p.call()
		defer held.Close()
		if _, err := io.WriteString(held, framed(message("A1"))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d.mu.Lock()
		for c := range d.talks { // as if its frame had begun a moment after the door looked
			c.mu.Lock()
			c.silent = time.Now().Add(-silentEnough)
			c.mu.Unlock()
		}
		d.mu.Unlock()
		late := p.call()
		defer late.Close()
		synctest.Wait()
		close(release) // its acknowledgement is written, and nobody reads it
		begun := time.Now()
		if err := stop(); err != nil || time.Since(begun) != bound {
			t.Errorf("stopped with %v after %v, want %v", err, time.Since(begun), bound)
		}
	})
}

// Connections that trickle, junk or a frame that never ends, go by the door's times; those are the longest that a
// full house of them keeps others out.
func TestTricklesEndByTheDoorsTimes(t *testing.T) {
	for name, row := range map[string]struct {
		first string
		after time.Duration
	}{
		"junk":    {"x", 10 * time.Minute},
		"a frame": {"\x0bMSH", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, &desk{}, contracts.MLLPDoor{Connections: 20}, func(t *testing.T, call func() net.Conn, _ func() error) {
				for range 20 {
					c := call()
					defer drip(c, row.first, "x", time.Second)()
					defer c.Close()
				}
				synctest.Wait()
				crowded := call()
				if !accepts(crowded, "A1") && name == "junk" {
					time.Sleep(silentEnough) // virtual time: junk is no frame, so these connections count as silent
					if late := call(); !accepts(late, "A2") {
						t.Error("junk keeps others out")
					} else {
						late.Close()
					}
				}
				time.Sleep(row.after + time.Second) // virtual time
				late := call()
				defer late.Close()
				if !accepts(late, "A3") {
					t.Errorf("after %v others are still kept out", row.after)
				}
			})
		})
	}
}

// The rate holds for all connections together: who is faster waits and is read no further.
func TestARateIsKeptByWaiting(t *testing.T) {
	inTime(t, &desk{}, contracts.MLLPDoor{Rate: 5}, func(t *testing.T, call func() net.Conn, _ func() error) {
		begun := time.Now()
		done := make(chan int, 2)
		for n := range 2 {
			c := call()
			defer c.Close()
			go func() {
				for i := range 10 {
					if !accepts(c, fmt.Sprintf("A%d", i)) {
						t.Errorf("message %d of connection %d isn't served", i, n)
					}
				}
				done <- n
			}()
		}
		<-done
		first := time.Since(begun)
		<-done
		if all := time.Since(begun); all < 3700*time.Millisecond || all > 3900*time.Millisecond || all-first > 500*time.Millisecond {
			t.Errorf("20 frames took %v, and one connection was through after %v; want 3.8s and nearly the same", all, first)
		}
	})
}

// A batch doesn't get round the rate: each of its messages takes its turn.
func TestARateCountsTheMessagesOfABatch(t *testing.T) {
	for _, several := range []string{contracts.SeveralEach, contracts.SeveralBatch} {
		r := &desk{}
		inTime(t, r, contracts.MLLPDoor{Rate: 5, Several: several}, func(t *testing.T, call func() net.Conn, _ func() error) {
			begun := time.Now()
			c := call()
			defer c.Close()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			var batch strings.Builder
			for i := range 11 {
				batch.WriteString(message(fmt.Sprintf("A%d", i)))
			}
			last := make(chan struct{})
			r.respond = func(n int, a contracts.Arrival) (contracts.Receipt, error) {
				if n == 11 {
					close(last)
				}
				return accepted(a), nil
			}
			if _, err := io.WriteString(c, framed(batch.String())); err != nil {
				t.Fatal(err)
			}
			<-last
			if all := time.Since(begun); all < 1900*time.Millisecond || all > 2100*time.Millisecond {
				t.Errorf("%s: 11 messages took %v, want 2s", several, all)
			}
		})
	}
}

// A door that stops lets the frames that wait for their turn have it at once.
func TestARateDoesNotHoldAStoppingDoorUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		stop := serve(t, newDoor(t, p, &desk{}, contracts.MLLPDoor{Rate: 1}))
		served := make(chan bool, 3)
		for n := range 3 {
			c := p.call()
			defer c.Close()
			go func() { served <- accepts(c, fmt.Sprintf("A%d", n)) }()
		}
		synctest.Wait()
		begun := time.Now()
		if err := stop(); err != nil || time.Since(begun) > lingerStopping {
			t.Errorf("stopped with %v after %v", err, time.Since(begun))
		}
		for range 3 {
			if !<-served {
				t.Error("a frame that had come wasn't answered")
			}
		}
	})
}

// A sender that shuts its writing side behind its frames gets every acknowledgement.
func TestASenderThatShutsItsSideStillGetsItsAnswers(t *testing.T) {
	release := make(chan struct{})
	r := &desk{respond: func(n int, a contracts.Arrival) (contracts.Receipt, error) {
		<-release
		return accepted(a), nil
	}}
	conn := call(t, open(t, r, contracts.MLLPDoor{}))
	if _, err := io.WriteString(conn, framed(message("A1"), message("A2"))); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(release) // the side is shut before the first is answered
	back, err := io.ReadAll(conn)
	if got := answers(t, string(back)); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v; want both acknowledgements", got, err)
	}
}
