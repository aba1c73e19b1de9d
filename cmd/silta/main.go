// Command silta is the one binary: the hub, its tools and what operators call.
//
// stdout is data; stderr is progress, logs and faults. Exit codes: 0 done, 1 the thing examined has faults, 2 usage
// or configuration, 3 something could not be reached.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // contracts name time zones, and a small machine may have none

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and gives its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &terminal{in: stdin, out: stdout, err: stderr}
	root := newRoot(t)
	root.SetArgs(args)
	return t.exit(root.ExecuteContext(ctx))
}

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "silta COMMAND",
		Short: "A bridge for referrals between HL7 v2 and FHIR",
		Long: "Silta takes referrals from any partner (HL7 v2 over MLLP, FHIR R4 over HTTP), makes them durable, translates them\n" +
			"by versioned maps, delivers them in order, and shows what happened to them.",
		Example: "  silta demo                                       a referral crosses, and the answers come home\n" +
			"  silta init /srv/silta                            a hub of your own …\n" +
			"  silta serve -c /srv/silta/silta.yaml             … runs\n" +
			"  silta hl7 get 'PID-3[5=NNFIN].1' referral.hl7    look into a message",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.PersistentFlags().StringVar(&t.format, "format", "text", "how data and faults are written: text or json")
	root.PersistentFlags().StringVar(&t.charset, "charset", "", "character set of HL7 v2 messages that don't name theirs (table 0211)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return t.check() }
	for _, c := range commands(t) {
		root.AddCommand(c)
	}
	root.SetHelpTemplate(examplesLast)
	return root
}

// examplesLast is the help of every command; it ends with the worked example.
const examplesLast = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}Usage:
  {{.UseLine}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableFlags}}
Flags:
{{.Flags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasExample}}
Example:
{{.Example}}
{{end}}`
