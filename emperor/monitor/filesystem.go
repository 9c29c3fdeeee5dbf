package monitor

import "syscall"

// fileSystem is what inotify can tell of a kind of file system.
type fileSystem struct {
	// tellsAll: whatever changes, changes through this kernel, which reports it.
	tellsAll bool
	// shared names a kind that other machines change, or is "".
	shared string
}

// sharedFileSystems are those on which inotify sees only what this machine does:
// statfs(2)'s f_type.
var sharedFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xfe534d42: "SMB2",
	0xff534d42: "CIFS",
	0x564c:     "NCP",
	0x65735546: "FUSE",
	0x01021997: "9P",
	0x00c36400: "Ceph",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x0bd00bd0: "Lustre",
	0x01161970: "GFS2",
	0x7461636f: "OCFS2",
	0x47504653: "GPFS",
	0x786f4256: "a VirtualBox shared folder",
	0xbacbacbc: "a VMware shared folder",
}

// localFileSystems are those of which inotify reports everything. What is on none of
// them is looked at again and again: overlayfs does not tell what is changed in the
// folders that it lies over, and of a kind that is new nobody knows.
var localFileSystems = map[uint32]bool{
	0xef53:     true, // ext2, ext3, ext4
	0x58465342: true, // XFS
	0x9123683e: true, // Btrfs
	0xca451a4e: true, // bcachefs
	0x2fc12fc1: true, // ZFS
	0xf2f52010: true, // F2FS
	0x3153464a: true, // JFS
	0x52654973: true, // ReiserFS
	0x4d44:     true, // FAT
	0x2011bab0: true, // exFAT
	0x7366746e: true, // NTFS
	0x01021994: true, // tmpfs
	0x858458f6: true, // ramfs
	0x73717368: true, // SquashFS
	0xe0f5e1e2: true, // EROFS
	0x9660:     true, // ISO 9660
}

// fileSystemOf tells what kind of file system holds dir.
func fileSystemOf(dir string) fileSystem {
	var st syscall.Statfs_t
	if ignoringEINTR(func() error { return syscall.Statfs(dir, &st) }) != nil {
		return fileSystem{}
	}
	kind := uint32(st.Type)
	return fileSystem{tellsAll: localFileSystems[kind], shared: sharedFileSystems[kind]}
}
