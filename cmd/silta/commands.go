package main

import "github.com/spf13/cobra"

// commands are all there are, in the order in which the help lists them.
func commands(t *terminal) []*cobra.Command {
	return []*cobra.Command{
		newDemo(t),
		newHL7(t), newFHIR(t), newMap(t), newTranslate(t),
		newServe(t), newInit(t), newCheck(t), newBench(t),
		newFind(t), newList(t), newIssues(t), newTrace(t), newShow(t), newReprocess(t), newStop(t), newRelease(t),
		newPause(t), newResume(t), newPartners(t), newReload(t), newBackup(t), newRestore(t),
	}
}
