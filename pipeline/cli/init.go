package cli

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
)

//go:embed starter.yaml
var starter []byte

// schemaFile is the name under which init puts the schema beside the pipeline file.
const schemaFile = "penstock.schema.json"

func newInit(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented pipeline file to begin with (pipeline.yaml), and the schema that editors use",
		Args:  takes(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "pipeline.yaml"
			if len(args) == 1 {
				name = args[0]
			}
			if err := writeNew(name, starter); err != nil {
				return err
			}
			schema, err := config.Schema(g.kinds)
			if err != nil {
				return err
			}
			schemaName := filepath.Join(filepath.Dir(name), schemaFile)
			if err := refresh(schemaName, append(schema, '\n')); err != nil {
				return err
			}
			fmt.Fprintf(g.out, "%s\n%s\n", name, schemaName)
			fmt.Fprintf(g.err, "next: penstock check %s\n", name)
			return nil
		},
	}
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usagef("writing %s: it is there already, and is not overwritten; name another file", name)
	}
	if err != nil {
		return &exitError{code: exitEnvironment, err: fmt.Errorf("writing the pipeline file: %w", err)}
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// refresh writes a schema, over an older one too, but over nothing else.
func refresh(name string, schema []byte) error {
	old, err := os.ReadFile(name)
	if err == nil && !bytes.Contains(old, []byte(config.SchemaID)) {
		return usagef("writing %s: it is there already, and is no schema of penstock", name)
	}
	return os.WriteFile(name, schema, 0o644)
}
