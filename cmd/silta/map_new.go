package main

import (
	"bytes"
	_ "embed"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
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
	var from, event string
	c := &cobra.Command{
		Use:   "new ID",
		Short: "Write a small map to begin with",
		Long: "Writes catalog/ID/0.1.0/map.yaml with a case beside it into the mappings folder: a small map that checks and whose case\n" +
			"passes. Nothing that is there is overwritten.\n" +
			"With --from and --to it is a map for messages like that one, towards a canonical event: on top of the built-in map of its\n" +
			"type, or with rules for the segments that mean the same everywhere. It compiles, and lists the places of the message that\n" +
			"it doesn't carry, and what the event's profile needs beside. A message in FHIR (JSON) gives a map whose dialect is FHIR. The message itself isn't written anywhere: a case is yours to write, with invented people.",
		Example: "  silta map new apotti.ref-i12 --from referral.hl7 --to request\n" +
			"  silta map new apotti.ref-i12 && silta map check mappings/catalog/apotti.ref-i12/0.1.0/map.yaml",
		Args: cobra.ExactArgs(1),
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
			files := []file{
				{filepath.Join(dir, "map.yaml"), bytes.ReplaceAll(skeletonMap, []byte("{{ID}}"), []byte(id)), 0o644},
				{filepath.Join(dir, "cases", "first.txtar"), skeletonCase, 0o644},
			}
			if (from == "") != (event == "") {
				return usagef("--from and --to belong together: a message, and the event that it becomes")
			}
			if from != "" {
				text, err := flag.skeleton(t, id, from, event)
				if err != nil {
					return err
				}
				files = []file{{filepath.Join(dir, "map.yaml"), text, 0o644}}
			}
			for _, f := range files {
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
	c.Flags().StringVar(&from, "from", "", "a message like those that the map is for")
	c.Flags().StringVar(&event, "to", "", "with --from, the canonical event that it becomes, such as request")
	return c
}

// skeleton writes a map for messages like the one in a file.
func (f *catalogFlag) skeleton(t *terminal, id, from, event string) ([]byte, error) {
	catalog, err := openCatalog(f.dir) // the folder is made if it isn't there
	if err != nil {
		return nil, err
	}
	b, err := t.read(from)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		tree, err := fhir.Parse(b)
		if err != nil {
			return nil, err
		}
		text, err := catalog.SkeletonFHIR(id, tree, event)
		if err != nil {
			return nil, configuration{err}
		}
		return text, nil
	}
	options, err := t.hl7Options()
	if err != nil {
		return nil, err
	}
	parts, faults := hl7v2.Split(b)
	if len(parts) != 1 {
		t.faults(from, faults)
		return nil, usagef("--from %s: name a file with one HL7 v2 message, or with one FHIR resource in JSON", from)
	}
	msg, err := hl7v2.Parse(parts[0].Bytes, options...)
	if err != nil {
		return nil, err
	}
	text, err := catalog.Skeleton(id, msg, event)
	if err != nil {
		return nil, configuration{err}
	}
	return text, nil
}
