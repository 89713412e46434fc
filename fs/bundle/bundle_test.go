package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// open opens an image made of one layer and a configuration.
func open(t testing.TB, config ocispec.Image, entries ...lt.Entry) *image.Image {
	t.Helper()
	dir := t.TempDir()
	lt.WriteLayout(t, dir, lt.Image{Tag: "t", Config: config, Layers: []lt.Layer{lt.GzipLayer(lt.Tar(entries...))}})
	src, err := fetch.Open(context.Background(), "oci:"+dir+":t", fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	store, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	img, err := image.Open(context.Background(), src, store, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

// config is a configuration with what runs in it.
func config(c ocispec.ImageConfig) ocispec.Image { return ocispec.Image{Config: c} }

func configuration(t *testing.T, img *image.Image, o Options) *specs.Spec {
	t.Helper()
	s, err := New(img, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestProcess(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{
		Entrypoint: []string{"/entry", "-x"}, Cmd: []string{"a", "b"}, WorkingDir: "srv/../work",
		Env: []string{"PATH=/image", "A=1", "B=2", "broken", "=x", "A=3"},
	}))
	none := []string{}
	for name, c := range map[string]struct {
		o    Options
		args []string
		cwd  string
		env  []string
	}{
		"as it is":      {Options{}, []string{"/entry", "-x", "a", "b"}, "/work", []string{"PATH=/image", "HOME=/", "A=3", "B=2"}},
		"arguments":     {Options{Args: []string{"c"}}, []string{"/entry", "-x", "c"}, "/work", nil},
		"entrypoint":    {Options{Entrypoint: &[]string{"/e"}}, []string{"/e"}, "/work", nil},
		"both":          {Options{Entrypoint: &[]string{"/e"}, Args: []string{"c"}}, []string{"/e", "c"}, "/work", nil},
		"no entrypoint": {Options{Entrypoint: &none, Args: []string{"c"}}, []string{"c"}, "/work", nil},
		"directory":     {Options{Cwd: "/x/.."}, nil, "/", nil},
		"environment":   {Options{Env: []string{"B=x=y", "C=", "HOME=/h"}}, nil, "/work", []string{"PATH=/image", "HOME=/h", "A=3", "B=x=y", "C="}},
		"terminal":      {Options{Terminal: true}, nil, "/work", []string{"PATH=/image", "HOME=/", "TERM=xterm", "A=3", "B=2"}},
	} {
		p := configuration(t, img, c.o).Process
		if c.args != nil && !slices.Equal(p.Args, c.args) {
			t.Errorf("%s: args %q, want %q", name, p.Args, c.args)
		}
		if c.env != nil && !slices.Equal(p.Env, c.env) {
			t.Errorf("%s: env %q, want %q", name, p.Env, c.env)
		}
		if p.Cwd != c.cwd || p.Terminal != c.o.Terminal || !p.NoNewPrivileges {
			t.Errorf("%s: %+v", name, p)
		}
	}
	bare := configuration(t, open(t, ocispec.Image{}), Options{Args: []string{"x"}}).Process
	if bare.Cwd != "/" || bare.Env[0] != defaultPath {
		t.Errorf("an image that says nothing: %+v", bare)
	}
	if _, err := New(open(t, ocispec.Image{}), Options{}); !errors.Is(err, ErrNoProgram) {
		t.Errorf("no program: %v", err)
	}
	solaris := ocispec.Image{Platform: ocispec.Platform{OS: "solaris"}}
	if _, err := New(open(t, solaris), Options{Args: []string{"x"}}); !errors.Is(err, image.ErrUnsupported) {
		t.Errorf("another system: %v", err)
	}
}

// TestAnnotations goes through conversion.md's table.
func TestAnnotations(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	img := open(t, ocispec.Image{
		Created: &created, Author: "me",
		Platform: ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8", OSVersion: "1", OSFeatures: []string{"f", "g"}},
		Config: ocispec.ImageConfig{
			Cmd: []string{"x"}, StopSignal: "SIGQUIT",
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}},
			Labels:       map[string]string{"org.opencontainers.image.author": "label", "other": "", "": "no key"},
		},
	})
	want := map[string]string{"other": "", "org.opencontainers.image.author": "label"}
	for k, v := range map[string]string{
		"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1", "os.features": "f,g",
		"created": "2026-01-02T03:04:05.000000006Z", "stopSignal": "SIGQUIT", "exposedPorts": "53/udp,80/tcp",
	} {
		want["org.opencontainers.image."+k] = v
	}
	if got := configuration(t, img, Options{}).Annotations; !reflect.DeepEqual(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// mountOn is the mount on a destination, nil if there is none.
func mountOn(s *specs.Spec, destination string) *specs.Mount {
	for i := range s.Mounts {
		if s.Mounts[i].Destination == destination {
			return &s.Mounts[i]
		}
	}
	return nil
}

func TestVolumes(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}, Volumes: map[string]struct{}{
		"/data": {}, "/data/": {}, "logs": {}, "/": {}, "/mine": {},
	}}))
	mine := specs.Mount{Destination: "/mine", Type: "bind", Source: "/here", Options: []string{"rbind"}}
	s := configuration(t, img, Options{ReadOnly: true, Mounts: []specs.Mount{mine}})
	for _, v := range []string{"/data", "/logs"} {
		if m := mountOn(s, v); m == nil || m.Type != "tmpfs" || !slices.Contains(m.Options, "tmpcopyup") {
			t.Errorf("%s: %+v", v, m)
		}
	}
	if n := len(s.Mounts) - len(defaultMounts(Options{})); n != 3 || !reflect.DeepEqual(*mountOn(s, "/mine"), mine) {
		t.Errorf("%d mounts beside the default ones: %+v", n, s.Mounts)
	}
	if m := mountOn(configuration(t, img, Options{}), "/data"); m != nil {
		t.Errorf("a volume where all can be written to: %+v", m)
	}
}

func TestRootless(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}}),
		lt.File("etc/passwd", "me:x:5:6::/:\nfar:x:70000:1::/:\n"), lt.File("etc/group", "g:x:7:me\nfar:x:70000:me\n"))
	s := configuration(t, img, Options{Rootless: &Rootless{IDs: 1, Map: &User{1000, 1001}}})
	if m := s.Linux.UIDMappings; len(m) != 1 || m[0] != (specs.LinuxIDMapping{HostID: 1000, Size: 1}) {
		t.Errorf("uids: %+v", m)
	}
	if m := s.Linux.GIDMappings; len(m) != 1 || m[0] != (specs.LinuxIDMapping{HostID: 1001, Size: 1}) {
		t.Errorf("gids: %+v", m)
	}
	if m := mountOn(s, "/sys"); m.Type != "bind" {
		t.Errorf("/sys with a network of somebody else's: %+v", m)
	}
	if m := mountOn(s, "/dev/pts"); slices.Contains(m.Options, "gid=5") {
		t.Errorf("/dev/pts of a group that isn't there: %+v", m)
	}
	many := &Rootless{IDs: 65537}
	s = configuration(t, img, Options{Rootless: many, User: "me", Network: NetworkNone})
	if m := mountOn(s, "/sys"); m.Type != "sysfs" {
		t.Errorf("/sys with a network of its own: %+v", m)
	}
	if u := s.Process.User; u.UID != 5 || !slices.Equal(u.AdditionalGids, []uint32{7}) {
		t.Errorf("of the groups, those that there are: %+v", u)
	}
	if len(s.Linux.UIDMappings) != 0 {
		t.Errorf("a namespace in a namespace: %+v", s.Linux.UIDMappings)
	}
	for _, o := range []Options{{Rootless: many, User: "far"}, {Rootless: &Rootless{IDs: 1}, User: "me"}, {Rootless: &Rootless{IDs: 1}, User: "0:1"}} {
		if _, err := New(img, o); !errors.Is(err, ErrNotMapped) {
			t.Errorf("%s of %d ids: %v", o.User, o.Rootless.IDs, err)
		}
	}
}

func TestMissing(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}, WorkingDir: "/w", Volumes: map[string]struct{}{"/v/deep": {}}}),
		lt.Dir("proc"), lt.Symlink("dev", "real"), lt.Dir("real"), lt.Symlink("v", "/nowhere"), lt.File("etc/hosts", ""))
	s := configuration(t, img, Options{ReadOnly: true, Hosts: "/h", Resolv: "/r"})
	missing, err := Missing(img, s)
	if want := []string{"/w", "/sys", "/v/deep"}; err != nil || !slices.Equal(missing, want) {
		t.Errorf("%q, %v, want %q", missing, err, want)
	}
	if mountOn(s, "/etc/resolv.conf") != nil || mountOn(s, "/etc/hosts") == nil {
		t.Errorf("a file is mounted on what isn't there, or isn't on what is: %+v", s.Mounts)
	}
	if s := configuration(t, img, Options{Hosts: "/h", Resolv: "/r"}); mountOn(s, "/etc/resolv.conf") == nil {
		t.Errorf("no resolv.conf: %+v", s.Mounts)
	}
}

func TestCheckProgram(t *testing.T) {
	img := open(t, config(ocispec.ImageConfig{Env: []string{"PATH=/bin:/sbin"}, WorkingDir: "/w"}),
		lt.File("bin/plain", ""), lt.File("sbin/run", "", lt.Mode(0o755)), lt.Symlink("bin/link", "../sbin/run"),
		lt.Symlink("bin/gone", "/x"), lt.File("w/here", "", lt.Mode(0o100)), lt.Dir("bin/dir"))
	mounted := []specs.Mount{{Destination: "/opt", Type: "bind", Source: "/x"}}
	for name, want := range map[string]error{
		"run": nil, "link": nil, "/sbin/run": nil, "./here": nil, "/opt/any": nil,
		"here": ErrNotFound, "gone": ErrNotFound, "/w/../run": ErrNotFound,
		"plain": ErrNotExecutable, "dir": ErrNotExecutable, "/bin/plain": ErrNotExecutable,
	} {
		s := configuration(t, img, Options{Args: []string{name}, Mounts: mounted})
		if err := CheckProgram(img, s); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	s := configuration(t, open(t, config(ocispec.ImageConfig{Cmd: []string{"x"}})), Options{})
	if err := Write(dir, s); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, Config))
	var got specs.Spec
	if err != nil || json.Unmarshal(b, &got) != nil || !reflect.DeepEqual(&got, s) {
		t.Errorf("%v: read back as %+v", err, got)
	}
	if err := Write(dir, s); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
}

func TestHostsFile(t *testing.T) {
	if got := string(HostsFile(nil, "me")); !strings.HasPrefix(got, "127.0.0.1\tlocalhost\n") || !strings.HasSuffix(got, "\n127.0.1.1\tme\n") {
		t.Errorf("%q", got)
	}
	if got := string(HostsFile([]byte("1.2.3.4 a"), "me")); got != "1.2.3.4 a\n127.0.1.1\tme\n" {
		t.Errorf("%q", got)
	}
}
