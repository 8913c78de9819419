"""Raw corpora to manifests, and the stand-in corpora.

The versions below say when finished files are out of date: raise one in the change that makes the
stage write something else, and the workflow runs that stage again, for everyone, at the next call.
"""

STANDIN_VERSION = 1
MANIFEST_VERSION = 2
