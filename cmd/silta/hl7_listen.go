package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

func newHL7Listen(t *terminal) *cobra.Command {
	r := &testReceiver{t: t}
	var port int
	c := &cobra.Command{
		Use:   "listen --port P",
		Short: "Receive messages over MLLP, for tests",
		Long: "A test receiver on 127.0.0.1: answers every message as it is told and prints a line each: number, control id, type,\n" +
			"bytes. It keeps messages only with --out. Port 0 takes a free one; the address is on stderr.",
		Example: "  silta hl7 listen --port 2576 --out received",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.code != "AA" && r.code != "AE" && r.code != "AR" {
				return usagef("--code is AA, AE or AR")
			}
			if r.release != 1 && r.release != 2 {
				return usagef("--release is 1 or 2")
			}
			if (r.tls.CertFile == "") != (r.tls.KeyFile == "") || r.tls.CertFile == "" && r.tls.ClientCAFile != "" {
				return usagef("--tls-cert and --tls-key go together, and --client-ca goes with them")
			}
			if r.out != "" {
				if err := os.MkdirAll(r.out, 0o700); err != nil {
					return err
				}
			}
			return r.run(cmd.Context(), port)
		},
	}
	c.Flags().IntVar(&port, "port", 0, "the port to listen on")
	c.Flags().StringVar(&r.code, "code", "AA", "the answer: AA, AE or AR")
	c.Flags().DurationVar(&r.delay, "delay", 0, "wait so long before an answer")
	c.Flags().IntVar(&r.drop, "drop-every", 0, "give every so-manieth message no answer and close its connection")
	c.Flags().StringVar(&r.out, "out", "", "keep each message as DIR/000001.hl7 …")
	c.Flags().IntVar(&r.release, "release", 1, "of MLLP: 1 or 2")
	c.Flags().StringVar(&r.tls.CertFile, "tls-cert", "", "speak TLS with this certificate, PEM")
	c.Flags().StringVar(&r.tls.KeyFile, "tls-key", "", "its key, PEM, readable by its owner alone")
	c.Flags().StringVar(&r.tls.ClientCAFile, "client-ca", "", "whose certificates a sender must show, PEM; without it none is asked for")
	return c
}

// testReceiver answers as it was told to.
type testReceiver struct {
	t     *terminal
	code  string
	delay time.Duration
	drop  int
	out   string

	release int
	tls     contracts.TLSDoor

	mu sync.Mutex
	n  int
}

func (r *testReceiver) run(ctx context.Context, port int) error {
	log := logrus.New()
	log.SetOutput(io.Discard)
	settings := contracts.MLLPDoor{Release: r.release}
	if r.tls.CertFile != "" {
		settings.TLS = &r.tls
	}
	door, err := mllp.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "test", settings, r, time.Now, log)
	if contracts.KindOf(err) == contracts.Invalid {
		return configuration{err}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(r.t.err, "listening on %s\n", door.Addr())
	return door.Serve(ctx)
}

// Receive keeps and prints a message; an error makes the door drop the connection without an answer.
func (r *testReceiver) Receive(ctx context.Context, a contracts.Arrival) (contracts.Receipt, error) {
	n, err := r.keep(a.Body)
	if err != nil {
		return contracts.Receipt{}, err
	}
	wait := time.NewTimer(r.delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return contracts.Receipt{}, ctx.Err()
	}
	if r.drop > 0 && n%r.drop == 0 {
		return contracts.Receipt{}, fmt.Errorf("message %d is dropped", n)
	}
	receipt := contracts.Receipt{ID: contracts.DerivedID("test", string(a.Body.Bytes())), At: time.Now(), Fault: a.Fault}
	switch {
	case receipt.Fault != nil:
	case r.code == "AE":
		receipt.Fault = &contracts.Fault{Kind: contracts.Invalid, Public: "The test receiver answers AE.", ErrorCode: "207"}
	case r.code == "AR":
		receipt.Fault = &contracts.Fault{Kind: contracts.Refused, Public: "The test receiver answers AR.", ErrorCode: "207"}
	}
	return receipt, nil
}

// keep counts a message, prints its line and writes it where it should be kept.
func (r *testReceiver) keep(body contracts.Body) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	control, typ := "", ""
	if head, _ := hl7v2.Scan(body.Bytes()); head != nil {
		control, typ = head.ControlID(), head.Type()
	}
	if r.out != "" {
		if err := os.WriteFile(filepath.Join(r.out, fmt.Sprintf("%06d.hl7", r.n)), body.Bytes(), 0o600); err != nil {
			return r.n, err
		}
	}
	if r.t.json() {
		return r.n, r.t.print(map[string]any{"n": r.n, "controlId": control, "type": typ, "bytes": body.Len()})
	}
	_, err := fmt.Fprintf(r.t.out, "%d\t%s\t%s\t%d\n", r.n, orDash(control), orDash(typ), body.Len())
	return r.n, err
}
