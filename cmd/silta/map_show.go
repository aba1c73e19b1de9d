package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/mappings"
)

func newMapShow(t *terminal, flag *catalogFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID[@VERSION]",
		Short: "Print the file of a map or of a block",
		Long: "Prints the YAML of a map, or of a block that maps use, as it stands, a built-in one too: to look up a rule, or to copy\n" +
			"from. Without a version it is the newest. Of a map that extends another a first line names that one. In JSON it is an\n" +
			"object with the map, its digest, its file and its text.",
		Example: "  silta map show ref-i12 | grep priority",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flag.check(cmd); err != nil {
				return err
			}
			catalog, _ := mappings.LoadSound(catalogLayers(flag.dir)...) // other files needn't be done
			source, err := catalog.Source(args[0])
			if err != nil {
				return configuration{err}
			}
			if t.json() {
				return t.print(map[string]any{"map": source.Name, "digest": source.Digest, "file": openableName(flag.dir, source.File),
					"extends": source.Extends, "text": string(source.Text)})
			}
			if source.Extends != "" {
				if _, err := fmt.Fprintf(t.out, "# It extends %s: silta map show %[1]s\n", source.Extends); err != nil {
					return err
				}
			}
			_, err = t.out.Write(source.Text)
			return err
		},
	}
}
