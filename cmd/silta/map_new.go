package main

import (
	"bytes"
	_ "embed"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/mappings"
)

// skeletonMap is a small map that checks, with {{ID}} for its id.
//
//go:embed skeleton/map.yaml
var skeletonMap []byte

// skeletonCase is a case that it passes.
//
//go:embed skeleton/first.txtar
var skeletonCase []byte

var mapID = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$`)

func newMapNew(t *terminal, flag *catalogFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "new ID",
		Short: "Write a small map to begin with",
		Long: "Writes catalog/ID/0.1.0/map.yaml with a case beside it into the mappings folder: a small map that checks and whose case\n" +
			"passes. Nothing that is there is overwritten.",
		Example: "  silta map new apotti.ref-i12 && silta map check mappings/catalog/apotti.ref-i12/0.1.0/map.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			id := args[0]
			if !mapID.MatchString(id) {
				return usagef("an id is lower case letters, digits, hyphens and dots: apotti.ref-i12")
			}
			if _, err := fs.Stat(mappings.Embedded, "catalog/"+id+"/0.1.0"); err == nil {
				return usagef("%s@0.1.0 is built in, and would hide yours; choose an id of your own, such as mine.%s", id, id)
			}
			dir := filepath.Join(flag.dir, "catalog", id, "0.1.0")
			if _, err := os.Lstat(dir); err == nil {
				return usagef("%s is there already; nothing was written", dir)
			}
			for _, f := range []file{
				{filepath.Join(dir, "map.yaml"), bytes.ReplaceAll(skeletonMap, []byte("{{ID}}"), []byte(id)), 0o644},
				{filepath.Join(dir, "cases", "first.txtar"), skeletonCase, 0o644},
			} {
				if err := writeNew(f.path, f.data, f.mode); err != nil {
					return err
				}
				if err := t.wrote(f.path); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
