// Package bundle makes OCI runtime bundles: a directory with config.json, from
// which runc, crun and their like start a container, and rootfs, which here is
// an image that is mounted and not unpacked.
//
// [New] makes the configuration, as image-spec's conversion.md has it: the
// program, its environment and its user from the image, where the user is
// looked up in the image's own /etc/passwd and /etc/group, in the merged tree
// and never through the host's kernel; annotations from labels and the rest.
// What the image doesn't say is as users of Docker and Podman know it: the
// usual file systems, masked paths, capabilities, namespaces. [Options] override
// the image.
//
// The root file system is read-only as mounted. [Overlay] puts an overlay over
// it, whose upper layer is a directory or in memory. Runtimes make the
// mountpoints they need where they can write; [Missing] tells which an image
// lacks, since nobody can make those in a read-only root.
//
// Without root's rights there are two ways, and [Rootless] says which one is
// gone: the whole work is done in a user namespace, or the runtime makes one,
// in which root is the user and nobody else exists.
//
// [Bubblewrap] says the same as a configuration in words that bwrap knows,
// which reads no bundles.
package bundle
