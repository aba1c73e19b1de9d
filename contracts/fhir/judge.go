package fhir

import (
	"slices"

	"github.com/hoitosilta/silta/contracts"
)

// judged is a resource or value with a profile that it was checked against.
type judged struct {
	node    uint32
	profile *profile
}

// verdict is how that went.
type verdict struct {
	is   int8
	at   int  // of begun: how many were being checked before it
	told bool // what was found is in the list; else it was a trial
}

const (
	begun   = iota + 1 // it is being checked: a circle of references conforms unless something else says no
	holding            // it conforms
	failing            // it doesn't
)

const (
	mostJudged = 100    // profiled resources that lead to one another: deeper ones aren't checked from there
	mostTrials = 20_000 // from here on a verdict that rests on a circle is kept, so that circles can't cost without end
)

// conforms checks a value against a profile and tells its faults, unless it was told of them before.
func (v *validator) conforms(n Node, typ *Type, c *profile) { v.judge(n, typ, c) }

// tries is conforms without telling anybody.
func (v *validator) tries(n Node, typ *Type, c *profile) bool {
	before := v.errors
	v.quiet++
	ok := v.judge(n, typ, c)
	v.quiet--
	v.errors = before
	return ok
}

// judge gives the verdict on a value. One that rests on another which is still open isn't kept, because that other may
// come out differently.
func (v *validator) judge(n Node, typ *Type, c *profile) bool {
	key, loud := judged{n.i, c}, v.quiet == 0
	switch was := v.judged[key]; {
	case was.is == begun:
		v.lowest = min(v.lowest, was.at)
		return true
	case was.is == holding && (was.told || !loud):
		return true
	case was.is == failing && (was.told || !loud):
		v.errors++
		return false
	}
	if v.open == mostJudged {
		v.cut = n
		return true
	}
	if v.judged == nil {
		v.judged = map[judged]verdict{}
	}
	own, outer, before := v.open, v.lowest, v.errors
	v.judged[key] = verdict{is: begun, at: own}
	v.open, v.lowest, v.trials = own+1, own, v.trials+1
	v.profile(n, typ, c)
	v.open = own
	ok, rests := v.errors == before, v.lowest < own
	switch {
	case !ok:
		v.judged[key] = verdict{is: failing, told: loud}
	case rests && !loud && v.trials < mostTrials:
		delete(v.judged, key)
	default:
		v.judged[key] = verdict{is: holding, told: loud}
	}
	v.lowest = min(outer, v.lowest)
	return ok
}

// conformsToOne says whether a resource or value has one of the profiles. What isn't loaded can't be judged and counts
// as held.
func (v *validator) conformsToOne(n Node, refs []*profileRef) bool {
	typ := v.nodeType(n)
	for _, ref := range refs {
		if t := ref.baseType(); t != nil {
			if v.defs.isA(typ, t.Name) {
				return true
			}
			continue
		}
		c := ref.profile(v.profiles)
		if c == nil || c.typ == nil {
			return true
		}
		if v.defs.isA(typ, c.typ.Name) && v.tries(n, v.defs.Type(typ), c) {
			return true
		}
	}
	return false
}

// echo is the fault of a reference whose target lacks the profiles that are allowed.
type echo struct {
	fault   *contracts.Fault
	target  Node
	allowed []*profileRef
}

// dropEchoes takes out the faults of references to what was itself told to break an allowed profile: one mistake in a
// Patient is one fault, not one more for each resource that names the patient.
func (v *validator) dropEchoes() {
	if len(v.echoes) == 0 {
		return
	}
	told := make(map[*contracts.Fault]bool, len(v.echoes))
	for _, e := range v.echoes {
		told[e.fault] = slices.ContainsFunc(e.allowed, func(ref *profileRef) bool {
			c := ref.profile(v.profiles)
			was := v.judged[judged{e.target.i, c}]
			return c != nil && was.is == failing && was.told
		})
	}
	v.faults = slices.DeleteFunc(v.faults, func(f *contracts.Fault) bool { return told[f] })
}
