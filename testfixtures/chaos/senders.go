package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Senders send the messages of many referrals: those of one referral in order, each when the one before it is
// acknowledged, to any of the doors. What isn't acknowledged is sent again, the same bytes, perhaps to another door.
type Senders struct {
	Doors     []string // HOST:PORT
	Referrals int
	Pause     time.Duration // between two messages of a referral, about

	mu    sync.Mutex
	sent  int
	acked map[string]bool // by mark
	wrong []string
	slow  time.Duration // the longest that an acknowledgement took, all attempts together
}

// Run sends until ctx ends, and then goes on until what was begun is acknowledged, or finally ends.
func (s *Senders) Run(ctx, finally context.Context) {
	s.mu.Lock()
	s.acked = map[string]bool{}
	s.mu.Unlock()
	var working sync.WaitGroup
	for k := range s.Referrals {
		working.Go(func() { s.referral(ctx, finally, fmt.Sprint(prefix, k)) })
	}
	working.Wait()
}

func (s *Senders) referral(ctx, finally context.Context, referral string) {
	for number := 1; ctx.Err() == nil; number++ {
		message := write(referral, number)
		s.mu.Lock()
		s.sent++
		s.mu.Unlock()
		began := time.Now()
		for !s.send(finally, s.Doors[rand.IntN(len(s.Doors))], message, referral, number) {
			if finally.Err() != nil {
				return
			}
			rest(finally, 300*time.Millisecond)
		}
		s.mu.Lock()
		s.acked[fmt.Sprintf("%s/%d", referral, number)] = true
		s.slow = max(s.slow, time.Since(began))
		s.mu.Unlock()
		rest(ctx, time.Duration(rand.Int64N(int64(2*s.Pause)+1)))
	}
}

// write gives a referral message: invented people, a mark to know it by. Every other referral has no id of its own, so
// that its patient's keeps the order.
func write(referral string, number int) []byte {
	patient, id := referral[len(prefix):], referral
	if patient[len(patient)-1]%2 == 1 {
		id = ""
	}
	return fmt.Appendf(nil, "MSH|^~\\&|CLINIC|CHAOS|SILTA|CHAOS|20260302091500+0200||REF^I12^REF_I12|%s|P|2.5.1||||||UNICODE UTF-8\r"+
		"RF1|P|R||||%s|202603020915\rPRD|RP|Mäkelä^Öykkö\rPID|1||%s^^^CHAOS^PI||Mäki^Åsa\rNTE|1||%s number %d.\rNTE|2||%s\r",
		control(referral, number), id, patient, referral, number, strings.Repeat("näkökenttä ", 100))
}

// prefix begins every referral's name.
const prefix = "LAH-CHAOS-"

func control(referral string, number int) string {
	return fmt.Sprintf("C%s-%d", referral[len(prefix):], number)
}

// patience is how long a sender waits for an acknowledgement. A Kafka leader takes some seconds to move.
const patience = 30 * time.Second

// send sends once and says whether the message was acknowledged.
func (s *Senders) send(ctx context.Context, door string, message []byte, referral string, number int) bool {
	conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", door)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	if _, err := conn.Write(append(append([]byte{0x0b}, message...), 0x1c, 0x0d)); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadBytes(0x1c)
	if err != nil {
		return false
	}
	if !bytes.Contains(answer, []byte("\rMSA|AA|"+control(referral, number))) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrong = append(s.wrong, "a message was refused: "+code(answer))
		return false
	}
	return true
}

// code is MSA-1 and ERR-3 of an acknowledgement.
func code(answer []byte) string {
	_, rest, _ := strings.Cut(string(answer), "\rMSA|")
	ack, _, _ := strings.Cut(rest, "|")
	_, rest, _ = strings.Cut(rest, "\rERR|")
	fields := strings.Split(rest, "|")
	if len(fields) > 2 {
		ack += " " + fields[2]
	}
	return ack
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Acked gives the marks of all acknowledged messages, how many were sent, and what the hub did that it must not.
func (s *Senders) Acked() (acked map[string]bool, sent int, slowest time.Duration, wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked, s.sent, s.slow, s.wrong
}
