// Package contracts holds the words that every room of Silta uses: a message travels, a step records what was done
// to it, a fault stops it; a partner is an organisation with a contract. It also fixes what can't be fitted later:
// how ids and keys are derived, what the bus and the ledger carry, and the form of stored bytes.
//
// Nothing here does I/O, except that LoadPartners reads the files that it is given.
package contracts
