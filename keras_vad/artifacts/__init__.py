"""What a training leaves behind and others read: run folders, ``.keras`` files, SavedModels, LiteRT files, cards."""
