package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
image=$2 dir=$3 step=none generator=/usr/lib/systemd/system-generators/systemd-fstab-generator
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
step='not signed';          fails 32 mount -t ocifs "$image" "$dir" -o verify-key=key.pub; grep -q 'no valid signature' said
step='canonicalised';       mkdir alpine; fails 32 mount -t ocifs alpine "$dir"; grep -q 'docker://alpine' said
step='fstab';               echo "$image $dir ocifs ro,noauto,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=10min,allow_other 0 0" > fstab
                            mount --fstab "$PWD/fstab" "$dir"; test -f "$dir/etc/motd"; gone
if test -x "$generator"; then
  step='as systemd';        SYSTEMD_FSTAB=fstab "$generator" . . .; unit=$(basename "$(ls ./*-mnt.mount)")
                            said() { sed -n "s/^$1=//p" "$unit"; }; grep -q ^TimeoutIdleSec=10min "${unit%.mount}.automount"
                            mount "$(said What)" "$(said Where)" -t "$(said Type)" -o "$(said Options)"; test -f "$dir/etc/motd"; gone
fi
step='mount -a';            echo "$image $dir ocifs defaults 0 0" > fstab; mount -a -T "$PWD/fstab"; test -f "$dir/etc/motd"
step='mount -a, again';     mount -a -v -T "$PWD/fstab" | grep -q 'already mounted'; gone
if command -v mount.fuse3 >/dev/null; then
  step='as containerd';     mount.fuse3 "$image" "$dir" -o ro -o nodev -t ocifs; test -f "$dir/etc/motd"; grep -q 'nodev.* - fuse.ocifs' /proc/self/mountinfo; gone
fi
trap - EXIT
`

// mount8User is what somebody does whom a line of /etc/fstab, with user, lets
// mount: $1 to $3 are as above, $4 is their home, $5 their number, $6 how to
// become them.
const mount8User = `
mount -t tmpfs none /run
mount -t overlay none -o "lowerdir=$1:/usr/sbin" /usr/sbin || exit 77
echo "$2 $3 ocifs noauto,user,exec,x-systemd.automount,env.OCIFS_CACHE_DIR=$4/cache,env.OCIFS_STATE_DIR=$4/state 0 0" > "$4/fstab"
touch /etc/fstab; mount --bind "$4/fstab" /etc/fstab
exec sh -c "$6" sh "$4" "$5" sh -eu -c "$7" sh "$3"
`

const mount8Steps = `
dir=$1 step=none
trap 'echo "surprise: $step" >&2' EXIT
fails() { code=$1; shift; set +e; "$@" >said 2>&1; got=$?; set -e; test $got = $code; }

step='mount';           mount "$dir"; test "$(cat "$dir/etc/motd")" = hello; "$dir/true"
                        grep -q " $dir ro,nosuid,nodev,relatime .* fuse.ocifs .*user_id=$(id -u)," /proc/self/mountinfo
step='again';           fails 32 mount "$dir"; grep -q 'mounted there already' said
step='remount';         fails 32 mount -o remount "$dir"; grep -q "can't be changed" said
step='umount';          umount "$dir"; test -z "$(ls "$dir")"
step='ocifs umount';    mount "$dir"; ./ocifs umount "$dir"; test -z "$(ls "$dir")"
trap - EXIT
`

// mount8Programs puts ocifs, by its names, into a directory.
func mount8Programs(t *testing.T, bin, sbin string) {
	t.Helper()
	if err := os.Mkdir(sbin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ocifs", "mount.ocifs", "mount.fuse.ocifs", "mount.fuse3.ocifs"} {
		if err := os.Symlink(bin, filepath.Join(sbin, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// runMount8 runs a script in namespaces of its own.
func runMount8(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(needProgram(t, "unshare"), append([]string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-eu", "-c"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 77 {
		t.Skip("needs an overlay over /usr/sbin")
	}
	if err != nil || strings.Contains(string(out), "goroutine ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestMount8 has mount(8) find ocifs in /sbin, and run it.
func TestMount8(t *testing.T) {
	needRoot(t, "mount with mount(8)")
	needFUSE(t)
	u := newUser(t)
	dir := filepath.Join(u.home, "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	sbin := filepath.Join(u.home, "sbin")
	mount8Programs(t, bin, sbin)
	layout := filepath.Join(u.home, "layout")
	lt.WriteLayout(t, layout, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.Dir("etc"), lt.File("etc/motd", "hello\n")))}})
	key, _ := signer(t)
	if err := os.WriteFile(filepath.Join(u.home, "key.pub"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	runMount8(t, mount8, "sh", sbin, "oci:"+layout+":t", dir)
}

// TestMount8User has somebody mount what a line of fstab lets them, as
// themselves, and unmount it.
func TestMount8User(t *testing.T) {
	needProgram(t, "fusermount3")
	u := newSomebody(t, "")
	dir, sbin := filepath.Join(u.home, "mnt"), filepath.Join(u.home, "sbin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, somebody, somebody); err != nil {
		t.Fatal(err)
	}
	mount8Programs(t, filepath.Join(u.home, "ocifs"), sbin)
	layout := filepath.Join(u.home, "layout")
	program := probeImage(t, ocispec.ImageConfig{})
	lt.WriteLayout(t, layout, lt.Image{Tag: "t", Layers: append(program.Layers, lt.GzipLayer(lt.Tar(
		lt.Dir("etc"), lt.File("etc/motd", "hello\n"), lt.File("true", "#!"+dir+"/bin/probe id\n", lt.Mode(0o755)))))})
	runMount8(t, mount8User, "sh", sbin, "oci:"+layout+":t", dir, u.home, fmt.Sprint(somebody), becomeSomebody, mount8Steps)
}
