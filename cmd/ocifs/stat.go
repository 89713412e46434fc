package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func statCommand() *cli.Command {
	return &cli.Command{
		Name:      "stat",
		Usage:     "tell all there is to know of a file of an image",
		ArgsUsage: "IMAGE PATH…",
		Description: `Tells type, mode, owner, size, time and extended attributes of files, and which
layer they come from. A symbolic link is not followed, unless a slash stands
behind it or -L is given.`,
		UsageText: `
$ ocifs stat docker.io/library/python:3.13 /usr/local/bin/python3`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dereference", Aliases: []string{"L"}, Usage: "follow symbolic links"},
			jsonFlag(),
		},
		Action: look(stat),
	}
}

// A fileDetail is a fileInfo and what only stat tells.
type fileDetail struct {
	fileInfo
	Data        int64      `json:"data"` // bytes that are not holes
	LayerDigest string     `json:"layer_digest"`
	CreatedBy   string     `json:"created_by,omitempty"`
	Xattrs      []jsonAttr `json:"xattrs,omitempty"`
}

// A jsonAttr is an extended attribute. Its value is bytes: base64.
type jsonAttr struct {
	Name       string `json:"name"`
	NameBase64 string `json:"name_base64,omitempty"`
	Value      string `json:"value_base64"`
}

func stat(ctx context.Context, u *ui, cc *cli.Context, img *openedImage) error {
	var failed error
	files := []fileDetail{}
	for i, p := range cc.Args().Tail() {
		n, err := img.find(p, cc.Bool("dereference"))
		if err != nil {
			u.fail(ctx, &failed, err)
			continue
		}
		d := img.detail(rooted(p), n)
		if files = append(files, d); cc.Bool("json") {
			continue
		}
		if i > 0 {
			fmt.Fprintln(u.out)
		}
		d.print(u, img, p, n)
	}
	if cc.Bool("json") {
		if err := u.json(struct {
			Schema string       `json:"schema"`
			Files  []fileDetail `json:"files"`
		}{"ocifs.dev/stat/v1", files}); err != nil {
			return err
		}
	}
	return failed
}

func (i *openedImage) detail(p string, n tree.Node) fileDetail {
	d := fileDetail{fileInfo: i.info(p, n), Data: i.Tree().Data(n).Stored()}
	if layers := i.Layers(); d.Layer < len(layers) {
		d.LayerDigest = layers[d.Layer].Descriptor.Digest.String()
		d.CreatedBy = createdBy(i.Manifest().Config, len(layers))[d.Layer]
	}
	for _, x := range i.Tree().Xattrs(n) {
		a := jsonAttr{Value: base64.StdEncoding.EncodeToString([]byte(x.Value))}
		a.Name, a.NameBase64 = forJSON(x.Name)
		d.Xattrs = append(d.Xattrs, a)
	}
	return d
}

func (d *fileDetail) print(u *ui, img *openedImage, p string, n tree.Node) {
	name := quote(rooted(p))
	if link := img.Tree().Readlink(n); link != "" {
		name += " -> " + quote(link)
	}
	a := img.Tree().Attr(n)
	line := func(key, format string, v ...any) {
		fmt.Fprintf(u.out, "%9s  %s\n", key+":", fmt.Sprintf(format, v...))
	}
	line("Path", "%s", name)
	line("Type", "%s", longTypes[a.Mode&index.ModeType])
	line("Mode", "%s (%s)", d.Mode, modeString(a.Mode))
	line("Owner", "%d:%d", d.UID, d.GID)
	switch {
	case d.Device != "":
		line("Device", "%s", d.Device)
	case d.Data != d.Size && d.Type == "file":
		line("Size", "%d (%d of data, the rest is holes)", d.Size, d.Data)
	case d.Type != "dir":
		line("Size", "%d", d.Size)
	}
	line("Modified", "%s", modTime(a).Local().Format("2006-01-02 15:04:05.999999999 -0700"))
	line("Inode", "%d", d.Inode)
	line("Links", "%d", d.Links)
	if d.LayerDigest != "" {
		layer := fmt.Sprintf("%d/%d %s", d.Layer+1, len(img.Layers()), shortDigest(d.LayerDigest))
		if d.CreatedBy != "" {
			layer += " (" + clip(printable(d.CreatedBy), 100) + ")"
		}
		line("Layer", "%s", layer)
	}
	for _, x := range img.Tree().Xattrs(n) {
		line("Xattr", "%s=%s", quote(x.Name), attrValue(x.Value))
	}
}

// attrValue is the value of an extended attribute: text, or else hexadecimal.
func attrValue(v string) string {
	if s := strings.TrimSuffix(v, "\x00"); plain(s) {
		return s
	}
	return fmt.Sprintf("0x%x", v)
}

var longTypes = map[uint32]string{
	index.ModeRegular: "regular file", index.ModeDir: "directory", index.ModeSymlink: "symbolic link",
	index.ModeChar: "character device", index.ModeBlock: "block device", index.ModeFIFO: "FIFO",
}
