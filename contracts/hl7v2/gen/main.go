// Command gen makes data/dictionary.txt, the definitions of HL7 v2 that package hl7v2 embeds, from two npm packages and
// a Python one. Run it by `go generate ./contracts/hl7v2`; it needs npm, node and python3 with pip.
//
// Facts are taken (names, order, data types, cardinalities, lengths, table codes) and descriptions left out. No source is
// right throughout. merge.go says which one is taken for what; corrections.go lists the places where that rule fails,
// each with its reason.
package main

import (
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	src, err := fetch()
	if err != nil {
		log.Fatal(err)
	}
	out, err := src.dictionary()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("data", "dictionary.txt"), out, 0o644); err != nil {
		log.Fatal(err)
	}
}
