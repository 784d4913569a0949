//go:build fault

package chaos

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// An edit replaces a piece of a source file. It must be there exactly once.
type edit struct{ file, old, new string }

// variant builds the program from changed sources, which stay as they are: the
// compiler is told to read copies instead (go help build, -overlay).
func (r *run) variant(name string, edits ...edit) (binary string) {
	r.Helper()
	dir := filepath.Join(r.dir, "variant-"+name)
	r.must(os.MkdirAll(dir, 0o755))
	root, err := filepath.Abs("../..")
	r.must(err)
	texts := map[string]string{}
	for _, e := range edits {
		path := e.file
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		text, ok := texts[path]
		if !ok {
			raw, err := os.ReadFile(path)
			r.must(err)
			text = string(raw)
		}
		if n := strings.Count(text, e.old); n != 1 {
			r.Fatalf("%s holds %q %d times", path, e.old, n)
		}
		texts[path] = strings.Replace(text, e.old, e.new, 1)
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for path, text := range texts {
		copied := filepath.Join(dir, strings.ReplaceAll(filepath.Base(filepath.Dir(path))+"_"+filepath.Base(path), "/", "_"))
		r.must(os.WriteFile(copied, []byte(text), 0o644))
		overlay["Replace"][path] = copied
	}
	file := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(overlay)
	r.must(err)
	r.must(os.WriteFile(file, text, 0o644))
	binary = filepath.Join(dir, "app")
	if out, err := exec.CommandContext(r.ctx, "go", "build", "-buildvcs=false", "-overlay", file, "-o", binary, "onepg").CombinedOutput(); err != nil {
		r.Fatalf("build the variant %s: %v\n%s", name, err, out)
	}
	return binary
}

// skewed is the program on a machine whose clock is an hour ahead.
//
// Why not libfaketime: a Go program asks the kernel, not the C library.
func (r *run) skewed() string {
	goroot, err := exec.CommandContext(r.ctx, "go", "env", "GOROOT").Output()
	r.must(err)
	return r.variant("skewed", edit{
		file: filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go"),
		// The wall clock alone: timers and durations go by another.
		old: "\tsec, nsec, mono := runtimeNow()\n", new: "\tsec, nsec, mono := runtimeNow()\n\tsec += 3600\n",
	})
}

// newer is the next version of the program: users can be given a nickname, which
// this version has never heard of.
func (r *run) newer() string {
	return r.variant("newer",
		edit{
			file: "internal/domains/users/events.go", old: "func (Created) aboutUser()  {}\n",
			new: "// Nicknamed is news.\ntype Nicknamed struct {\n\tName string `json:\"name\"`\n}\n\nfunc (Nicknamed) aboutUser() {}\nfunc (Created) aboutUser() {}\n",
		},
		edit{
			file: "internal/domains/users/events.go", old: "\t\teventsourcing.Type[Deleted](",
			new: "\t\teventsourcing.Type[Nicknamed](\"user.nicknamed\", eventsourcing.Changes),\n\t\teventsourcing.Type[Deleted](",
		},
		edit{
			file: "internal/domains/users/state.go", old: "\tcase Updated:\n",
			new: "\tcase Nicknamed:\n\t\tnext.Name = e.Name\n\tcase Updated:\n",
		},
	)
}

// linux says whether what only Linux has is there.
func linux() bool { return runtime.GOOS == "linux" }
