package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

func indexVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "hold the indexes of an image against its layers",
		ArgsUsage: "IMAGE",
		Description: `Reads every layer whole, whatever is known of it, makes an index anew, and
compares with it all that ocifs index show lists but for this cache: names,
attributes, and contents as each of them would have them decoded, from every
checkpoint. An index that says otherwise than the layer is an error, with the
first difference, and exit code 6.

What is read lies in a directory of its own in the cache, as large as the image
unpacked, and is removed in the end.`,
		UsageText: `
$ ocifs index verify ghcr.io/o/r:v2`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: talk(indexVerify),
	}
}

// A verifiedInfo is what came of one index of one layer, for JSON.
type verifiedInfo struct {
	Layer  string `json:"layer"`
	Origin string `json:"origin"`
	Index  string `json:"index,omitempty"` // its digest, if it is an artifact
	True   bool   `json:"true"`
	Unused bool   `json:"unused,omitempty"` // it tells nothing that would be believed
	Error  string `json:"error,omitempty"`
}

func indexVerify(ctx context.Context, u *ui, cc *cli.Context) error {
	s, err := imageSpecOf(cc, cc.Args().First())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.CacheDir, 0o700); err != nil {
		return hint(fmt.Errorf("cache: %w", err), "choose another with --cache-dir")
	}
	if s.CacheDir, err = os.MkdirTemp(s.CacheDir, "verify-"); err != nil {
		return hint(fmt.Errorf("cache: %w", err), "choose another with --cache-dir")
	}
	defer os.RemoveAll(s.CacheDir)
	s.CacheSize = 0
	img, m, err := openManifest(ctx, u, s)
	if err != nil {
		return err
	}
	defer img.Close()
	findings, err := findingsOf(ctx, u, img, m, s)
	if err != nil {
		return img.named(err)
	}
	if len(findings) == 0 {
		return notFoundf("%s has no index to verify", img.Name()).with("ocifs index push makes one")
	}
	return tellFindings(ctx, u, cc.Bool("json"), img, m, findings)
}

// findingsOf reads the image and holds its indexes against it.
func findingsOf(ctx context.Context, u *ui, img *openedImage, m *image.Manifest, s imageSpec) ([]image.Finding, error) {
	var mu sync.Mutex
	var all []image.Finding
	h := uiHooks(u)
	o := image.Options{Index: s.Index, SOCIv1: s.SOCIv1, Warn: h.warn, Progress: steps(m.Layers(), h.step), Findings: func(f image.Finding) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return nil
	}}
	var err error
	img.Image, err = image.OpenManifest(ctx, m, img.src, img.store, o)
	u.progress.stop()
	slices.SortStableFunc(all, func(a, b image.Finding) int { return a.Layer - b.Layer })
	return all, err
}

func tellFindings(ctx context.Context, u *ui, asJSON bool, img *openedImage, m *image.Manifest, findings []image.Finding) error {
	var failed error
	list := []verifiedInfo{}
	for _, f := range findings {
		i := verifiedInfo{Origin: string(f.Origin), Index: f.Index.Digest.String(), True: f.Err == nil, Unused: errors.Is(f.Err, index.ErrNoIndex)}
		where := "the image"
		if f.Layer >= 0 {
			i.Layer = m.Layers()[f.Layer].Digest.String()
			where = fmt.Sprintf("layer %d/%d %s", f.Layer+1, len(m.Layers()), shortDigest(i.Layer))
		}
		what := i.Origin
		if i.Index != "" {
			what += " " + shortDigest(i.Index)
		}
		switch {
		case f.Err != nil:
			i.Error = f.Err.Error()
			if !i.Unused {
				u.fail(ctx, &failed, wrong(f.Origin, fmt.Errorf("%s: %s index: %w", where, what, f.Err)))
			} else if !asJSON {
				fmt.Fprintf(u.out, "%s %s  not used: %v\n", where, what, printable(i.Error))
			}
		case !asJSON:
			fmt.Fprintf(u.out, "%s %s  ok\n", where, what)
		}
		list = append(list, i)
	}
	if !asJSON {
		return failed
	}
	err := u.json(struct {
		Schema  string         `json:"schema"`
		Image   string         `json:"image"`
		Digest  string         `json:"digest"`
		Indexes []verifiedInfo `json:"indexes"`
	}{"ocifs.dev/index-verify/v1", img.Name(), m.Descriptor.Digest.String(), list})
	return errors.Join(failed, err)
}

// wrong gives an index that can't be right the exit code for it.
func wrong(o image.Origin, err error) error {
	var unread *fetch.Error
	if errors.As(err, &unread) && codeOf(err) != exitNotFound {
		return err
	}
	hint := "mount without it (--index=local), and have it replaced: ocifs index rm, ocifs index push"
	switch o {
	case image.OriginLayer, image.OriginTOCImage:
		hint = "mount without it (--index=local), and have the layer written anew: ocifs convert"
	case image.OriginSOCI:
		hint = "mount without it (--index=local), and have it made anew: ocifs index build --format soci"
	}
	return &problem{err: err, code: exitIntegrity, hints: []string{hint}}
}
