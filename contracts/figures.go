package contracts

import "time"

// Figures are what a hub can be measured by at one moment. Names in it are topics, groups and partners: a closed list.
type Figures struct {
	Bus, Ledger bool // whether publishing, and writing to the ledger, would work now
	Topics      []TopicFigures
	Held        []Held
	Paused      map[string]bool // by partner with a courier: whether it gets nothing now
	Dropped     int64           // steps that weren't recorded because the ledger was behind
}

// TopicFigures are those of a topic and the group that works it.
type TopicFigures struct {
	Topic, Group string
	Lag          int64     // records that the group hasn't finished; -1 if the bus didn't say
	Busy         int64     // lanes that work a record now
	Oldest       time.Time // when the oldest of what they work was received; zero if they work nothing
}

// Held counts what waits behind the keys of a topic.
type Held struct {
	Topic    string
	Spilled  int64     // keys that are tried again
	Parked   int64     // keys that wait for a person
	Messages int64     // behind both
	Oldest   time.Time // when the first of them began to wait; zero if there is none
}
