package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func newServe(t *terminal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the hub",
		Long: "Runs the hub as a configuration says, until it is interrupted; then it finishes what it has begun. When it takes\n" +
			"messages it prints one JSON line with its addresses. Its log goes to stderr.",
		Example: "  silta init /srv/silta && silta serve -c /srv/silta/silta.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := readSettings(file)
			if err != nil {
				return err
			}
			agreed, err := s.readAgreements()
			if err != nil {
				return err
			}
			log := newLog(s, t)
			for _, f := range agreed.warnings {
				log.Warn(f.Public, "code", f.Code, "file", f.File)
			}
			h, err := openHouse(cmd.Context(), s, agreed, log, nil)
			if err != nil {
				return err
			}
			h.reread = rereading(file)
			if err := t.print(h.addresses()); err != nil {
				return errors.Join(err, h.close())
			}
			log.WithField("dir", h.dir).Info("The hub takes messages.")
			return h.runWithin(cmd.Context(), s.Stop)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "silta.yaml", "the configuration")
	return c
}

// runWithin runs and closes the house, and reloads it at each SIGHUP. After ctx ends that takes no longer than bound:
// what isn't finished by then is left as a crash would leave it, and the next start goes on from there.
func (h *house) runWithin(ctx context.Context, bound time.Duration) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(h.run(ctx), h.close()) }()
	stopping := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case err := <-ended:
			h.log.Info("The hub has stopped.")
			return err
		case <-again:
			go func() { _, _ = h.Reload(ctx) }() // it tells the log itself
		case <-stopping:
			stopping, late = nil, time.After(bound)
		case <-late:
			h.log.Warn("The hub ends without having finished all that it had begun; nothing is lost, and the next start goes on from there.")
			return nil
		}
	}
}
