"""The queries of the image service's tables that are longer than a line.

Those over several images take their ids as one JSON array, so that a list of thousands costs a handful of queries.
"""

from __future__ import annotations

# Bytes of one layer `il` of an image: of its files, or else of its blob in the image's first manifest.
_LAYER_SIZE = """coalesce(layers.size, (
    SELECT blobs.size FROM manifests
    JOIN manifest_parts ON manifest = manifests.digest AND position = il.position + 1
    JOIN blobs ON blobs.digest = manifest_parts.digest
    WHERE manifests.image = il.image ORDER BY manifests.rowid LIMIT 1), 0)"""

DESCRIBED = f"""
    SELECT wanted.value AS id, message,
        (SELECT coalesce(sum({_LAYER_SIZE}), 0) FROM image_layers AS il
            LEFT JOIN layers ON layers.diff_id = il.diff_id WHERE il.image = wanted.value) AS size,
        (SELECT count(*) FROM snapshots WHERE snapshots.image = wanted.value) AS snapshots,
        (SELECT digest FROM manifests WHERE manifests.image = wanted.value
            ORDER BY rowid LIMIT 1) AS manifest
    FROM json_each(?) AS wanted JOIN descriptions ON descriptions.image = wanted.value
"""  # noqa: S608  nothing of it comes from outside

LAYER_SIZES = f"""
    SELECT {_LAYER_SIZE} AS size FROM image_layers AS il
    LEFT JOIN layers ON layers.diff_id = il.diff_id WHERE il.image = ? ORDER BY il.position
"""  # noqa: S608

SHARED = f"""
    SELECT il.image, sum({_LAYER_SIZE}) AS size FROM image_layers AS il
    LEFT JOIN layers ON layers.diff_id = il.diff_id
    WHERE il.image IN (SELECT value FROM json_each(?)) AND EXISTS (
        SELECT 1 FROM image_layers AS other
        WHERE other.diff_id = il.diff_id AND other.image <> il.image)
    GROUP BY il.image
"""  # noqa: S608

NAMES = """
    SELECT image, reference FROM names
    WHERE image IN (SELECT value FROM json_each(?)) ORDER BY reference
"""

REPO_DIGESTS = """
    SELECT image, digest_reference FROM repo_digests
    WHERE image IN (SELECT value FROM json_each(?)) ORDER BY digest_reference
"""

FAULTS = """
    SELECT image_layers.image, faults.digest FROM faults
    JOIN image_layers ON diff_id = faults.digest AND kind = 'layer'
    WHERE image_layers.image IN (SELECT value FROM json_each(?1))
    UNION SELECT manifests.image, faults.digest FROM faults
    JOIN manifest_parts ON manifest_parts.digest = faults.digest AND kind = 'blob'
    JOIN manifests ON manifests.digest = manifest_parts.manifest
    WHERE manifests.image IN (SELECT value FROM json_each(?1))
    UNION SELECT manifests.image, faults.digest FROM faults
    JOIN manifests ON manifests.digest = faults.digest AND kind = 'blob'
    WHERE manifests.image IN (SELECT value FROM json_each(?1))
"""

# Documents that names and digest references lead to, through any depth of indexes.
_NAMED = """
    WITH RECURSIVE named(digest) AS (
        SELECT manifest FROM names
        UNION SELECT substr(digest_reference, instr(digest_reference, '@') + 1) FROM repo_digests
        UNION SELECT manifest_parts.digest FROM named
        JOIN manifests ON manifests.digest = named.digest AND manifests.image IS NULL
        JOIN manifest_parts ON manifest = named.digest
    )
"""

# Whether there is anything to follow indexes for.
ANY_UNNAMED = """
    SELECT 1 FROM images
    WHERE NOT EXISTS (SELECT 1 FROM names WHERE names.image = images.id)
    AND NOT EXISTS (SELECT 1 FROM repo_digests WHERE repo_digests.image = images.id) LIMIT 1
"""

IN_INDEXES_ONLY = f"""{_NAMED}
    SELECT DISTINCT image FROM manifests WHERE image IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM names WHERE names.image = manifests.image)
    AND NOT EXISTS (SELECT 1 FROM repo_digests WHERE repo_digests.image = manifests.image)
    AND digest IN (SELECT digest FROM named)
"""  # noqa: S608

# Images below documents, through any depth of indexes.
BELOW = """
    WITH RECURSIVE below(digest) AS (
        SELECT value FROM json_each(?)
        UNION SELECT manifest_parts.digest FROM below
        JOIN manifests ON manifests.digest = below.digest AND manifests.image IS NULL
        JOIN manifest_parts ON manifest = below.digest
    )
    SELECT DISTINCT image FROM manifests WHERE image IS NOT NULL
    AND digest IN (SELECT digest FROM below)
"""

# Images that no name or digest reference leads to, through any depth of indexes.
UNNAMED = f"""{_NAMED}
    SELECT id FROM images WHERE NOT EXISTS (
        SELECT 1 FROM manifests WHERE manifests.image = images.id
        AND digest IN (SELECT digest FROM named))
    AND NOT EXISTS (SELECT 1 FROM names WHERE names.image = images.id)
    AND NOT EXISTS (SELECT 1 FROM repo_digests WHERE repo_digests.image = images.id)
"""  # noqa: S608

LEASED_IMAGES = """
    SELECT images.id AS image FROM lease_content JOIN images ON images.id = lease_content.digest
    UNION SELECT manifests.image FROM lease_content JOIN manifests
    ON manifests.digest = lease_content.digest WHERE manifests.image IS NOT NULL
"""

# Blobs that nothing holds. Images hold their manifests, so that one without a name stays. Only what indexes and
# artifacts name is followed step by step: of an image's manifest it is enough that it is held.
BLOBS_NOT_HELD = """
    WITH RECURSIVE held(digest) AS (
        SELECT manifest FROM names
        UNION SELECT digest FROM manifests WHERE image IS NOT NULL
        UNION SELECT substr(digest_reference, instr(digest_reference, '@') + 1) FROM repo_digests
        UNION SELECT digest FROM lease_content
        UNION SELECT manifests.digest FROM lease_content JOIN manifests ON image = lease_content.digest
        UNION SELECT manifest_parts.digest FROM held
        JOIN manifests ON manifests.digest = held.digest AND manifests.image IS NULL
        JOIN manifest_parts ON manifest = held.digest
        UNION SELECT manifests.digest FROM held JOIN manifests ON subject = held.digest
    )
    SELECT digest, size FROM blobs WHERE digest NOT IN (SELECT digest FROM held)
    AND NOT EXISTS (SELECT 1 FROM layers WHERE blob = blobs.digest)
    AND NOT EXISTS (
        SELECT 1 FROM manifest_parts WHERE manifest_parts.digest = blobs.digest
        AND manifest IN (SELECT digest FROM held))
"""

LAYERS_NOT_HELD = """
    SELECT * FROM layers WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)
    AND diff_id NOT IN (SELECT digest FROM lease_content)
"""

# What each image has: its layers, its manifests and what these name. A plain tar is a layer and a blob of one digest.
CONTENT = """
    SELECT image, 'layer/' || diff_id AS item FROM image_layers
    UNION SELECT image, 'blob/' || digest FROM manifests WHERE image IS NOT NULL
    UNION SELECT manifests.image, 'blob/' || manifest_parts.digest FROM manifests
    JOIN manifest_parts ON manifest = manifests.digest WHERE manifests.image IS NOT NULL
"""

IMAGES_WITH = """
    SELECT id AS image FROM images WHERE id = ?1
    UNION SELECT image FROM image_layers WHERE diff_id = ?1
    UNION SELECT image FROM manifests WHERE digest = ?1 AND image IS NOT NULL
    UNION SELECT image FROM manifests JOIN manifest_parts ON manifest = manifests.digest
    WHERE manifest_parts.digest = ?1 AND image IS NOT NULL
    UNION SELECT names.image FROM names WHERE manifest = ?1 AND image IS NOT NULL
"""
