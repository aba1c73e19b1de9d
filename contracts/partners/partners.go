// Package partners holds the contracts that are built into the binary: the ones that `silta init` writes and that
// `silta demo` runs with. An installation's own stand beside its configuration and replace these.
package partners

import "embed"

// Files are the contracts, one YAML file a partner, as contracts.LoadPartners reads them from ".".
//
//go:embed *.yaml
var Files embed.FS
