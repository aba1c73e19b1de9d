package main

import (
	"errors"

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
			h, err := openHouse(cmd.Context(), s, agreed, log, nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, h.close()) }()
			if err := t.print(h.addresses()); err != nil {
				return err
			}
			log.WithField("dir", h.dir).Info("The hub takes messages.")
			err = h.run(cmd.Context())
			log.Info("The hub has stopped.")
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "silta.yaml", "the configuration")
	return c
}
