package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// mount8 is what mount(8), fstab and containerd do, as root in namespaces of
// mounts and processes that end with the script: $1 is where the programs are,
// $2 an image, $3 a directory. It stops at the first surprise and names it.
const mount8 = `
mount -t tmpfs none /run
mkdir -p /var/cache && mount -t tmpfs none /var/cache
mount -t overlay none -o "lowerdir=$1:/usr/sbin" /usr/sbin || exit 77
PATH=/usr/sbin:/usr/bin:/sbin:/bin
image=$2 dir=$3 step=none
trap 'echo "surprise: $step" >&2' EXIT
gone() { umount "$dir"; test "$(cat "$dir/here")" = below; }
fails() { code=$1; shift; set +e; "$@" >"$dir/../said" 2>&1; got=$?; set -e; test $got = $code; }
cd "$dir/.."; echo below > "$dir/here"

step='mount -t';            mount -t ocifs "$image" "$dir"; test "$(cat "$dir/etc/motd")" = hello; gone
step='mount -t fuse.';      mount -t fuse.ocifs "$image" "$dir" -o nosuid; test -f "$dir/etc/motd"; gone
step='mount -t fuse3.';     mount -t fuse3.ocifs "$image" "$dir"; test -f "$dir/etc/motd"; gone
step='options';             mount -v -t ocifs "$image" "$dir" -o ro,nofail,_netdev,noatime,x-systemd.automount,verify=full | grep -q "^mounted oci:"; gone
step='fake';                mount -f -t ocifs "$image" "$dir"; test -f "$dir/here"
step='remount';             fails 32 mount -t ocifs "$image" "$dir" -o remount; grep -q "can't be changed" said
step='unknown option';      fails 1 mount -t ocifs "$image" "$dir" -o bogus; grep -q 'unknown option "bogus"' said
step='sloppy';              mount -s -t ocifs "$image" "$dir" -o bogus; gone
step='canonicalised';       mkdir alpine; fails 32 mount -t ocifs alpine "$dir"; grep -q 'docker://alpine' said
step='fstab';               echo "$image $dir ocifs ro,noauto,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=10min,allow_other 0 0" > fstab
                            mount --fstab "$PWD/fstab" "$dir"; test -f "$dir/etc/motd"; gone
step='mount -a';            echo "$image $dir ocifs defaults 0 0" > fstab; mount -a -T "$PWD/fstab"; test -f "$dir/etc/motd"
step='mount -a, again';     mount -a -v -T "$PWD/fstab" | grep -q 'already mounted'; gone
if command -v mount.fuse3 >/dev/null; then
  step='as containerd';     mount.fuse3 "$image" "$dir" -o ro -o nodev -t ocifs; test -f "$dir/etc/motd"; grep -q 'nodev.* - fuse.ocifs' /proc/self/mountinfo; gone
fi
trap - EXIT
`

// TestMount8 has mount(8) find ocifs in /sbin, and run it.
func TestMount8(t *testing.T) {
	needRoot(t, "mount with mount(8)")
	needFUSE(t)
	unshare := needProgram(t, "unshare")
	u := newUser(t)
	dir, sbin := filepath.Join(u.home, "mnt"), filepath.Join(u.home, "sbin")
	for _, d := range []string{dir, sbin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := filepath.Abs(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ocifs", "mount.ocifs", "mount.fuse.ocifs", "mount.fuse3.ocifs"} {
		if err := os.Symlink(bin, filepath.Join(sbin, name)); err != nil {
			t.Fatal(err)
		}
	}
	layout := filepath.Join(u.home, "layout")
	lt.WriteLayout(t, layout, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.Dir("etc"), lt.File("etc/motd", "hello\n")))}})
	cmd := exec.Command(unshare, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-eu", "-c", mount8, "sh", sbin, "oci:"+layout+":t", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 77 {
		t.Skip("needs an overlay over /usr/sbin")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if s := string(out); strings.Contains(s, "goroutine ") {
		t.Error(s)
	}
}
