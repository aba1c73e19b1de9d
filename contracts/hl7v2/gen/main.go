// Command gen makes data/dictionary.txt, the definitions of HL7 v2 that package hl7v2 embeds, from two npm packages.
// Run it by `go generate ./contracts/hl7v2`; it needs npm and node.
//
// Facts are taken (names, order, data types, cardinalities, lengths, table codes) and descriptions left out. Where the
// packages are known to be wrong, corrections.go says so and the output lists what was changed.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

// The packages, at the versions that were looked through. The first has message structures as lists, in which a
// segment may stand twice; the second has them by name, which loses that, but more tables, the first fields of OM2 to
// OM6, and 2.8.
const (
	listPackage  = "hl7-dictionary@1.0.1"
	namedPackage = "hl7v2-dictionary@1.8.0"
)

// dump prints both packages as one JSON object; functions fall away.
const dump = `
import {createRequire} from 'module';
import {dictionaries} from 'hl7v2-dictionary';
const list = createRequire(process.cwd() + '/')('hl7-dictionary');
process.stdout.write(JSON.stringify({named: dictionaries, list}));
`

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

// fetch installs the packages in a temporary folder and reads them.
func fetch() (*source, error) {
	dir, err := os.MkdirTemp("", "silta-dictionary-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if _, err := run(dir, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, listPackage, namedPackage); err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "dump.mjs")
	if err := os.WriteFile(script, []byte(dump), 0o644); err != nil {
		return nil, err
	}
	b, err := run(dir, "node", script)
	if err != nil {
		return nil, err
	}
	src := &source{}
	if err := json.Unmarshal(b, src); err != nil {
		return nil, fmt.Errorf("read the packages: %w", err)
	}
	return src, nil
}

func run(dir, name string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return out.Bytes(), nil
}
