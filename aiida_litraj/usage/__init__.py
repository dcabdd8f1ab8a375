"""What jobs have cost and what chains leave behind: times, evaluations, storage, and folders on computers."""
